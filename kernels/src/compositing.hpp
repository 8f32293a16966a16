// Compositing of one tile, front to back. Backward runs in the same order: the color behind a splat is the final color minus the color
// in front of it.
#pragma once

#include "tiling.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kParts = kBlockPixels / W;  // vectors a block

// Column and row of a block's pixels.
alignas(64) constexpr float kColumn[16] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
alignas(64) constexpr float kRow[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};

// The state of a tile holds one group of planes for each block, and each plane holds the 16 pixels of the block. The first plane is the
// transmittance. A negative transmittance is final: the pixel is full (transmittance_min is reached) or outside the image.
struct Tile {
  int left, top;   // pixels
  int begin, end;  // of its list
  uint64_t live;   // blocks with a pixel that is inside the image and not full
};

SPLATPAINT_INLINE Tile init_tile(const Lists& lists, int width, int height, int index, float* state, int planes) {
  const int columns = tiles_across(width);
  Tile t{index % columns * kTileSide, index / columns * kTileSide, lists.offsets[index], lists.offsets[index + 1], 0};
  for (int block = 0; block < kBlocks; ++block) {
    float* group = state + block * planes * kBlockPixels;
    const float columns_left = float(width - t.left - block % kTileBlocks * kBlockSide);
    const float rows_left = float(height - t.top - block / kTileBlocks * kBlockSide);
    if (columns_left > 0 && rows_left > 0) t.live |= uint64_t(1) << block;
    for (int i = 0; i < kBlockPixels; i += W) {
      Mask inside = both(greater(Vec(columns_left), Vec::load(kColumn + i)), greater(Vec(rows_left), Vec::load(kRow + i)));
      select(inside, Vec(1.0f), Vec(-1.0f)).store(group + i);
    }
    for (int i = kBlockPixels; i < planes * kBlockPixels; i += W) Vec(0.0f).store(group + i);
  }
  return t;
}

// Evaluates one splat in one tile: log2(alpha) = peak - u^2 - v^2. u and v are linear in the pixel, so each is the sum of a term of
// the pixel within its block and a term of the block.
struct SplatEvaluator {
  Vec within_u[kParts], within_v[kParts];
  alignas(64) float column_u[16], row_u[16], column_v[16];  // kTileBlocks of them are used
  Vec peak;
};

SPLATPAINT_INLINE void load_splat(SplatEvaluator& evaluator, const float* record, const Tile& tile) {
  const Vec a(record[2]), b(record[3]), e(record[4]);
  const Vec dx(float(tile.left) + 0.5f - record[0]), dy(float(tile.top) + 0.5f - record[1]);
  evaluator.peak = Vec(record[5]);
  for (int part = 0; part < kParts; ++part) {
    const Vec column = Vec::load(kColumn + part * W), row = Vec::load(kRow + part * W);
    evaluator.within_u[part] = fma(a, column, b * row);
    evaluator.within_v[part] = e * column;
  }
  for (int i = 0; i < kTileBlocks; i += W) {
    const Vec offset = Vec::load(kLane + i) * Vec(float(kBlockSide)), x = dx + offset, y = dy + offset;
    (a * x).store(evaluator.column_u + i);
    (b * y).store(evaluator.row_u + i);
    (e * x).store(evaluator.column_v + i);
  }
}

struct Limit {
  Vec log2_alpha_min, alpha_max, transmittance_min;
};

SPLATPAINT_INLINE Limit limit_of(const Limits& limits) {
  return {Vec(__builtin_log2f(limits.alpha_min)), Vec(limits.alpha_max), Vec(limits.transmittance_min)};
}

// One splat at one vector of pixels.
struct Fragment {
  Vec u, v;
  Vec alpha, unclamped;
  Vec before;  // transmittance in front of the splat
  Vec weight;  // alpha times that transmittance, 0 where nothing is painted
  Mask painted;
};

// Composites a splat into one vector of pixels and updates their transmittance. Forward and backward both call this, so they agree on
// the last splat of every pixel. Returns false if the splat is visible at none of the pixels.
SPLATPAINT_INLINE bool composite_fragment(const SplatEvaluator& evaluator, const Limit& limit, int block, int part, float* transmittance,
                                          Fragment& f) {
  f.before = Vec::load(transmittance);
  f.u = evaluator.within_u[part] + Vec(evaluator.column_u[block % kTileBlocks] + evaluator.row_u[block / kTileBlocks]);
  f.v = evaluator.within_v[part] + Vec(evaluator.column_v[block % kTileBlocks]);
  const Vec power = fnma(f.v, f.v, fnma(f.u, f.u, evaluator.peak));
  const Mask seen = at_least(power, limit.log2_alpha_min);
  // A whole block nearly always has a pixel to paint, so there the branch costs more than it spares.
  if (kParts > 1 && !any(seen)) return false;
  f.unclamped = exp2(power);
  f.alpha = min(f.unclamped, limit.alpha_max);
  const Vec opaque = f.alpha * f.before;
  f.painted = greater_where(seen, f.before - opaque, limit.transmittance_min);  // never where transmittance is negative
  f.weight = zero_unless(f.painted, opaque);
  negative_where(but_not(seen, f.painted), f.before - f.weight).store(transmittance);
  return true;
}

constexpr int kFullCheckInterval = 16;  // list entries between two checks for full blocks; a full block costs time but changes nothing

SPLATPAINT_INLINE uint64_t live_blocks(uint64_t live, const float* state, int planes) {
  uint64_t open = 0;
  for (uint64_t left = live; left; left &= left - 1) {
    const uint64_t bit = left & -left;
    const float* transmittance = state + __builtin_ctzll(left) * planes * kBlockPixels;
    for (int i = 0; i < kBlockPixels; i += W)
      if (any(greater(Vec::load(transmittance + i), Vec(0.0f)))) open |= bit;
  }
  return open;
}

constexpr int kPrefetchDistance = 8;  // in list entries

SPLATPAINT_INLINE void prefetch_record(const Records& records, const Lists& lists, int entry) {
  __builtin_prefetch(records.data + int64_t(lists.splats[entry]) * records.stride, 0, 0);
}

// The pixels of a block that lie inside the image, between a plane of the image and 16 floats.
struct Window {
  int64_t first;  // pixel of the image
  int64_t width;
  int columns, rows;  // inside; none if not positive
};

SPLATPAINT_INLINE Window window_of(const Tile& tile, int block, int width, int height) {
  const int left = tile.left + block % kTileBlocks * kBlockSide, top = tile.top + block / kTileBlocks * kBlockSide;
  const int columns = width - left < kBlockSide ? width - left : kBlockSide, rows = height - top < kBlockSide ? height - top : kBlockSide;
  return {int64_t(top) * width + left, width, rows > 0 ? columns : 0, rows};
}

SPLATPAINT_INLINE void read(const float* plane, const Window& w, float out[kBlockPixels]) {
  const float* from = plane + w.first;
  if (w.columns == kBlockSide && w.rows == kBlockSide) {
    for (int y = 0; y < kBlockSide; ++y) __builtin_memcpy(out + y * kBlockSide, from + y * w.width, kBlockSide * sizeof(float));
    return;
  }
  for (int i = 0; i < kBlockPixels; ++i)
    out[i] = i % kBlockSide < w.columns && i / kBlockSide < w.rows ? from[i / kBlockSide * w.width + i % kBlockSide] : 0.0f;
}

SPLATPAINT_INLINE void write(const float in[kBlockPixels], const Window& w, float* plane) {
  float* to = plane + w.first;
  if (w.columns == kBlockSide && w.rows == kBlockSide) {
    for (int y = 0; y < kBlockSide; ++y) __builtin_memcpy(to + y * w.width, in + y * kBlockSide, kBlockSide * sizeof(float));
    return;
  }
  for (int y = 0; y < w.rows; ++y)
    for (int x = 0; x < w.columns; ++x) to[y * w.width + x] = in[y * kBlockSide + x];
}

// Planes: transmittance, then one sum a channel. `channels_or_any` counts the depth; 0 is any number.
template <int channels_or_any>
void composite_tile(const Records& records, const Lists& lists, const Limits& limits, const Canvas& canvas, int index, float* state) {
  const int channels = channels_or_any ? channels_or_any : records.channels + 1;
  const int planes = channels + 1;
  Tile tile = init_tile(lists, canvas.width, canvas.height, index, state, planes);
  const Limit limit = limit_of(limits);

  SplatEvaluator evaluator;
  int entry = tile.begin;
  for (; entry < tile.end && tile.live; ++entry) {
    if (entry + kPrefetchDistance < tile.end) prefetch_record(records, lists, entry + kPrefetchDistance);
    if (entry % kFullCheckInterval == 0) tile.live = live_blocks(tile.live, state, planes);
    uint64_t left = lists.blocks[entry] & tile.live;
    if (!left) continue;
    const float* record = records.data + int64_t(lists.splats[entry]) * records.stride;
    load_splat(evaluator, record, tile);
    for (; left; left &= left - 1) {
      const int block = __builtin_ctzll(left);
      float* group = state + block * planes * kBlockPixels;
      for (int part = 0; part < kParts; ++part) {
        float* at = group + part * W;
        Fragment f;
        if (!composite_fragment(evaluator, limit, block, part, at, f)) continue;
        for (int c = 0; c < channels; ++c) {
          float* sum = at + (c + 1) * kBlockPixels;
          fma(f.weight, Vec(record[kRecordPaint + c]), Vec::load(sum)).store(sum);
        }
      }
    }
  }
  canvas.stops[index] = entry - tile.begin;

  const int64_t plane = int64_t(canvas.width) * canvas.height;
  for (int block = 0; block < kBlocks; ++block) {
    const Window window = window_of(tile, block, canvas.width, canvas.height);
    if (window.columns <= 0) continue;
    const float* group = state + block * planes * kBlockPixels;
    alignas(64) float transmittance[kBlockPixels], out[kBlockPixels];
    for (int i = 0; i < kBlockPixels; i += W) {
      const Vec marked = Vec::load(group + i);
      max(marked, -marked).store(transmittance + i);
    }
    for (int c = 0; c < channels - 1; ++c) {
      const Vec behind(canvas.background ? canvas.background[c] : 0.0f);
      for (int i = 0; i < kBlockPixels; i += W)
        fma(Vec::load(transmittance + i), behind, Vec::load(group + (c + 1) * kBlockPixels + i)).store(out + i);
      write(out, window, canvas.color + c * plane);
    }
    for (int i = 0; i < kBlockPixels; i += W) (Vec(1.0f) - Vec::load(transmittance + i)).store(out + i);
    write(out, window, canvas.alpha);
    for (int i = 0; i < kBlockPixels; i += W) {
      const Vec alpha = Vec::load(out + i);
      zero_unless(greater(alpha, Vec(0.0f)), alpha / Vec::load(group + channels * kBlockPixels + i)).store(out + i);
    }
    write(out, window, canvas.depth);
  }
}

void composite(const Records& records, const Lists& lists, const Limits& limits, const Canvas& canvas, int tile, float* scratch) {
  switch (records.channels) {
    case 1: return composite_tile<2>(records, lists, limits, canvas, tile, scratch);
    case 3: return composite_tile<4>(records, lists, limits, canvas, tile, scratch);
    case 4: return composite_tile<5>(records, lists, limits, canvas, tile, scratch);
    default: return composite_tile<0>(records, lists, limits, canvas, tile, scratch);
  }
}

// Planes: transmittance, Q, then one gradient a channel. With w_i = alpha_i T_i and d_i the sum over channels of gradient times paint,
// the loss moves with alpha_i as T_i d_i - Q_i / (1 - alpha_i), where Q_i is the sum of w_j d_j over all j behind i, background and
// final alpha included. So one number a pixel, Q, stands for all channels.
SPLATPAINT_INLINE Tile init_tile_backward(const Records& records, const Lists& lists, const CanvasGradient& g, int index, float* state,
                                          int planes) {
  const Tile tile = init_tile(lists, g.width, g.height, index, state, planes);
  const int64_t plane = int64_t(g.width) * g.height;
  const int paints = g.color_grad ? records.channels : 0;
  const Vec zero(0.0f), one(1.0f);
  for (int block = 0; block < kBlocks; ++block) {
    const Window window = window_of(tile, block, g.width, g.height);
    if (window.columns <= 0) continue;
    float* behind = state + (block * planes + 1) * kBlockPixels;
    float* grads = behind + kBlockPixels;
    alignas(64) float alpha[kBlockPixels], alpha_grad[kBlockPixels] = {}, painted[kBlockPixels];
    read(g.alpha, window, alpha);
    if (g.alpha_grad) read(g.alpha_grad, window, alpha_grad);
    for (int c = 0; c < paints; ++c, grads += kBlockPixels) {
      read(g.color_grad + c * plane, window, grads);
      read(g.color + c * plane, window, painted);
      for (int i = 0; i < kBlockPixels; i += W) fma(Vec::load(grads + i), Vec::load(painted + i), Vec::load(behind + i)).store(behind + i);
    }
    if (g.depth_grad) {
      // depth is alpha divided by a sum
      read(g.depth_grad, window, grads);
      read(g.depth, window, painted);
      for (int i = 0; i < kBlockPixels; i += W) {
        const Vec a = Vec::load(alpha + i), grad = Vec::load(grads + i), depth = Vec::load(painted + i);
        const Vec depth_term = zero_unless(greater(a, zero), grad * depth / a);
        (-depth_term * depth).store(grads + i);
        (Vec::load(alpha_grad + i) + depth_term).store(alpha_grad + i);
        fnma(depth_term, a, Vec::load(behind + i)).store(behind + i);
      }
    }
    for (int i = 0; i < kBlockPixels; i += W)
      fnma(Vec::load(alpha_grad + i), one - Vec::load(alpha + i), Vec::load(behind + i)).store(behind + i);
  }
  return tile;
}

// channels_or_any counts the channels with a gradient; 0 is any number.
template <bool geometry, int channels_or_any>
void composite_tile_backward(const Records& records, const Lists& lists, const Limits& limits, const CanvasGradient& g, int index,
                             float* scratch) {
  const int channels = channels_or_any ? channels_or_any : live_channels(records, g);
  const int planes = channels + 2;
  constexpr int moments = geometry ? 6 : 0;
  const int size = (moments + channels + 3) / 4 * 4;
  constexpr int fixed = (moments + channels_or_any + 3) / 4 * 4;  // sums in registers; any number of channels has its sums in scratch
  float* more_sums = scratch;
  float* state = scratch + (channels_or_any ? 0 : (channels + 3) / 4 * 4 * W);
  Tile tile = init_tile_backward(records, lists, g, index, state, planes);
  const Limit limit = limit_of(limits);
  // Without a gradient of the colors, the inverse depth is the only channel; it is the record's last.
  const int first_channel = kRecordPaint + (g.color_grad ? 0 : records.channels);

  SplatEvaluator evaluator;
  const int stop = tile.begin + g.stops[index];
  for (int entry = tile.begin; entry < tile.end; ++entry) {
    // Written out of order, so that a splat's partials lie side by side.
    float* partial = g.partials + int64_t(lists.slots[entry]) * size;
    if (entry + kPrefetchDistance < tile.end) {
      prefetch_record(records, lists, entry + kPrefetchDistance);
      const float* ahead = g.partials + int64_t(lists.slots[entry + kPrefetchDistance]) * size;
      __builtin_prefetch(ahead, 1);
      __builtin_prefetch(ahead + size - 1, 1);
    }
    if (entry % kFullCheckInterval == 0) tile.live = live_blocks(tile.live, state, planes);
    uint64_t left = entry < stop ? lists.blocks[entry] & tile.live : 0;
    if (!left) {
      for (int i = 0; i < size; ++i) partial[i] = 0.0f;
      continue;
    }
    const float* record = records.data + int64_t(lists.splats[entry]) * records.stride;
    const float* paint = record + first_channel;
    load_splat(evaluator, record, tile);
    Vec sums[fixed ? fixed : 1];
    for (Vec& sum : sums) sum = Vec(0.0f);
    if (!channels_or_any)
      for (int i = 0; i < (channels + 3) / 4 * 4 * W; i += W) Vec(0.0f).store(more_sums + i);
    for (; left; left &= left - 1) {
      const int block = __builtin_ctzll(left);
      float* group = state + block * planes * kBlockPixels;
      for (int part = 0; part < kParts; ++part) {
        float* at = group + part * W;
        Fragment f;
        if (!composite_fragment(evaluator, limit, block, part, at, f)) continue;
        Vec dot(0.0f);
        for (int c = 0; c < channels; ++c) {
          const Vec grad = Vec::load(at + (c + 2) * kBlockPixels);
          if (geometry) dot = fma(grad, Vec(paint[c]), dot);
          if (channels_or_any)
            sums[moments + c] = fma(f.weight, grad, sums[moments + c]);
          else
            fma(f.weight, grad, Vec::load(more_sums + c * W)).store(more_sums + c * W);
        }
        if (!geometry) continue;
        const Vec share = f.weight * dot, behind = Vec::load(at + kBlockPixels) - share;
        behind.store(at + kBlockPixels);
        // d loss / d ln alpha = share - behind * alpha / (1 - alpha); zero where alpha is clamped
        const Mask moves = at_least_where(f.painted, limit.alpha_max, f.unclamped);
        const Vec log_alpha_grad = zero_unless(moves, fnma(behind * f.alpha, reciprocal(Vec(1.0f) - f.alpha), share));
        const Vec log_alpha_grad_u = log_alpha_grad * f.u, log_alpha_grad_v = log_alpha_grad * f.v;
        sums[0] = sums[0] + log_alpha_grad;
        sums[1] = sums[1] + log_alpha_grad_u;
        sums[2] = sums[2] + log_alpha_grad_v;
        sums[3] = fma(log_alpha_grad_u, f.u, sums[3]);
        sums[4] = fma(log_alpha_grad_u, f.v, sums[4]);
        sums[5] = fma(log_alpha_grad_v, f.v, sums[5]);
      }
    }
    if (channels_or_any) {
      for (int i = 0; i < fixed; i += 4) store_sums(sums[i], sums[i + 1], sums[i + 2], sums[i + 3], partial + i);
      continue;
    }
    // The six moments leave two places in their second group of four, so what follows them is stored by channel.
    alignas(64) float all[8];
    if (geometry) {
      store_sums(sums[0], sums[1], sums[2], sums[3], all);
      store_sums(sums[4], sums[5], Vec(0.0f), Vec(0.0f), all + 4);
      for (int i = 0; i < 6; ++i) partial[i] = all[i];
    }
    for (int c = 0; c < channels; c += 4) {
      const float* four = more_sums + c * W;
      store_sums(Vec::load(four), Vec::load(four + W), Vec::load(four + 2 * W), Vec::load(four + 3 * W), all);
      for (int i = 0; i < 4 && c + i < channels; ++i) partial[moments + c + i] = all[i];
    }
    for (int i = moments + channels; i < size; ++i) partial[i] = 0.0f;
  }
}

template <bool geometry>
SPLATPAINT_INLINE void composite_backward_for(const Records& records, const Lists& lists, const Limits& limits, const CanvasGradient& g,
                                              int tile, float* scratch) {
  switch (live_channels(records, g)) {
    case 1: return composite_tile_backward<geometry, 1>(records, lists, limits, g, tile, scratch);
    case 3: return composite_tile_backward<geometry, 3>(records, lists, limits, g, tile, scratch);
    case 4: return composite_tile_backward<geometry, 4>(records, lists, limits, g, tile, scratch);
    case 5: return composite_tile_backward<geometry, 5>(records, lists, limits, g, tile, scratch);
    default: return composite_tile_backward<geometry, 0>(records, lists, limits, g, tile, scratch);
  }
}

void composite_backward(const Records& records, const Lists& lists, const Limits& limits, const CanvasGradient& g, int tile,
                        float* scratch) {
  if (g.geometry)
    composite_backward_for<true>(records, lists, limits, g, tile, scratch);
  else
    composite_backward_for<false>(records, lists, limits, g, tile, scratch);
}

}  // namespace splatpaint::SPLATPAINT_TARGET
