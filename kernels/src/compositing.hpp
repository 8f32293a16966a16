// One tile's pixels, front to back. Backward walks the same way: what lies behind a splat is the final color less what lies before.
#pragma once

#include "tiling.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kParts = kBlockPixels / W;  // vectors a block

// Column and row of a block's pixels, and of a tile's blocks.
alignas(64) constexpr float kColumn[16] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
alignas(64) constexpr float kRow[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};

struct Tile {
  int left, top;    // pixels
  int begin, end;   // of its list
  uint32_t live;    // blocks with a pixel that is inside the image and not full
};

// Transmittance of every pixel; a negative one is final: the pixel is full, or outside the image.
SPLATPAINT_INLINE Tile open_tile(const Lists& lists, int width, int height, int tile, float* transmittance) {
  int columns = tiles_across(width);
  Tile t{tile % columns * kTileSide, tile / columns * kTileSide, lists.offsets[tile], lists.offsets[tile + 1], 0};
  for (int block = 0; block < kBlocks; ++block) {
    int left = t.left + block % 4 * kBlockSide, top = t.top + block / 4 * kBlockSide;
    if (left < width && top < height) t.live |= 1u << block;
    for (int i = 0; i < kBlockPixels; ++i)
      transmittance[block * kBlockPixels + i] = left + i % 4 < width && top + i / 4 < height ? 1.0f : -1.0f;
  }
  return t;
}

// A splat against the blocks of a tile: log2(alpha) is peak - (U + u)^2 - (V + v)^2, capital letters within a block, small ones
// from block to block.
struct Brush {
  Vec within_u[kParts], within_v[kParts];
  alignas(64) float block_u[kBlocks], block_v[kBlocks];
  Vec peak;
};

SPLATPAINT_INLINE void dip(Brush& brush, const float* record, const Tile& tile) {
  Vec a(record[2]), b(record[3]), e(record[4]);
  brush.peak = Vec(record[5]);
  Vec dx(float(tile.left) + 0.5f - record[0]), dy(float(tile.top) + 0.5f - record[1]);
  for (int part = 0; part < kParts; ++part) {
    Vec column = Vec::load(kColumn + part * W), row = Vec::load(kRow + part * W);
    brush.within_u[part] = fma(a, column, b * row);
    brush.within_v[part] = e * column;
    Vec x = fma(column, Vec(float(kBlockSide)), dx), y = fma(row, Vec(float(kBlockSide)), dy);
    fma(a, x, b * y).store(brush.block_u + part * W);
    (e * x).store(brush.block_v + part * W);
  }
}

struct Limit {
  Vec log2_alpha_min, alpha_max, transmittance_min;
};

struct Dab {
  Vec u, v;
  Vec alpha, unclamped;
  Vec weight;         // alpha times the transmittance before, 0 where nothing is painted
  Vec transmittance;  // after
  Mask painted;
  bool filled;        // a pixel became full
};

// Composites one vector of pixels, or returns false where nothing is visible. Both directions call this, so that they agree on
// every pixel's last splat.
SPLATPAINT_INLINE bool dab(const Brush& brush, const Limit& limit, int block, int part, Vec before, Dab& d) {
  d.u = brush.within_u[part] + Vec(brush.block_u[block]);
  d.v = brush.within_v[part] + Vec(brush.block_v[block]);
  Vec power = fnma(d.v, d.v, fnma(d.u, d.u, brush.peak));
  Mask seen = both(at_least(power, limit.log2_alpha_min), greater(before, Vec(0.0f)));
  if (!any(seen)) return false;
  d.unclamped = exp2(power);
  d.alpha = min(d.unclamped, limit.alpha_max);
  Vec opaque = d.alpha * before;
  Vec after = before - opaque;
  d.painted = both(seen, greater(after, limit.transmittance_min));
  d.weight = zero_unless(d.painted, opaque);
  Mask full = but_not(seen, d.painted);
  d.transmittance = select(d.painted, after, before);
  d.filled = any(full);
  if (d.filled) d.transmittance = select(full, -before, d.transmittance);
  return true;
}

SPLATPAINT_INLINE bool is_full(const float* transmittance) {
  bool open = false;
  for (int part = 0; part < kParts; ++part) open |= any(greater(Vec::load(transmittance + part * W), Vec(0.0f)));
  return !open;
}

SPLATPAINT_INLINE Limit limit_of(const Limits& limits) {
  return {Vec(__builtin_log2f(limits.alpha_min)), Vec(limits.alpha_max), Vec(limits.transmittance_min)};
}

constexpr int kAhead = 6;  // list entries between asking for a record and using it

SPLATPAINT_INLINE void ask_for(const Records& records, const Lists& lists, int entry) {
  const float* record = records.data + int64_t(lists.ranks[entry]) * records.stride;
  __builtin_prefetch(record);
}

// Between an image row and the rows of four pixels that blocks are made of.
template <class Visit>
SPLATPAINT_INLINE void for_each_run(const Tile& tile, int width, int height, Visit visit) {
  for (int block = 0; block < kBlocks; ++block) {
    int left = tile.left + block % 4 * kBlockSide, top = tile.top + block / 4 * kBlockSide;
    int run = width - left < kBlockSide ? width - left : kBlockSide;
    for (int y = 0; y < kBlockSide && top + y < height && run > 0; ++y)
      visit(block * kBlockPixels + y * kBlockSide, int64_t(top + y) * width + left, run);
  }
}

// channels counts the depth; 0 is any number.
template <int channels_or_any>
void composite_tile(const Records& records, const Lists& lists, const Limits& limits, const Canvas& canvas, int tile_index, float* sums) {
  const int channels = channels_or_any ? channels_or_any : records.channels + 1;
  alignas(64) float transmittance[kTilePixels];
  Tile tile = open_tile(lists, canvas.width, canvas.height, tile_index, transmittance);
  const Limit limit = limit_of(limits);
  for (int i = 0; i < channels * kTilePixels; i += W) Vec(0.0f).store(sums + i);

  Brush brush;
  int entry = tile.begin;
  for (; entry < tile.end && tile.live; ++entry) {
    if (entry + kAhead < tile.end) ask_for(records, lists, entry + kAhead);
    uint32_t left = lists.blocks[entry] & tile.live;
    if (!left) continue;
    const float* record = records.data + int64_t(lists.ranks[entry]) * records.stride;
    dip(brush, record, tile);
    for (; left; left &= left - 1) {
      int block = __builtin_ctz(left);
      bool filled = false;
      for (int part = 0; part < kParts; ++part) {
        int at = block * kBlockPixels + part * W;
        Dab d;
        if (!dab(brush, limit, block, part, Vec::load(transmittance + at), d)) continue;
        d.transmittance.store(transmittance + at);
        for (int c = 0; c < channels; ++c) {
          float* sum = sums + c * kTilePixels + at;
          fma(d.weight, Vec(record[kRecordPaint + c]), Vec::load(sum)).store(sum);
        }
        filled |= d.filled;
      }
      if (filled && is_full(transmittance + block * kBlockPixels)) tile.live &= ~(1u << block);
    }
  }
  canvas.stops[tile_index] = entry - tile.begin;

  const int64_t plane = int64_t(canvas.width) * canvas.height;
  const int paints = channels - 1;
  for_each_run(tile, canvas.width, canvas.height, [&](int at, int64_t pixel, int run) {
    for (int i = 0; i < run; ++i) {
      float left = __builtin_fabsf(transmittance[at + i]);
      float alpha = 1.0f - left;
      for (int c = 0; c < paints; ++c)
        canvas.color[c * plane + pixel + i] = sums[c * kTilePixels + at + i] + (canvas.background ? left * canvas.background[c] : 0.0f);
      canvas.alpha[pixel + i] = alpha;
      canvas.depth[pixel + i] = alpha > 0.0f ? sums[paints * kTilePixels + at + i] / alpha : 0.0f;
    }
  });
}

void composite(const Records& records, const Lists& lists, const Limits& limits, const Canvas& canvas, int tile, float* scratch) {
  switch (records.channels) {
    case 1: return composite_tile<2>(records, lists, limits, canvas, tile, scratch);
    case 3: return composite_tile<4>(records, lists, limits, canvas, tile, scratch);
    case 4: return composite_tile<5>(records, lists, limits, canvas, tile, scratch);
    default: return composite_tile<0>(records, lists, limits, canvas, tile, scratch);
  }
}

// With w_i = alpha_i T_i and d_i = sum over channels of grad * paint_i, the loss moves with alpha_i as (T_i d_i - Q_i) / (1 - alpha_i),
// where Q_i is the sum of w_j d_j over j >= i, background and final alpha included. So one number a pixel, Q, stands for all channels.
template <bool geometry, int channels_or_any>
void composite_tile_backward(const Records& records, const Lists& lists, const Limits& limits, const CanvasGradient& g, int tile_index,
                             float* scratch) {
  const int channels = channels_or_any ? channels_or_any : live_channels(records, g);
  const int size = (geometry ? 6 : 0) + channels;
  alignas(64) float transmittance[kTilePixels], behind[kTilePixels];
  float* grads = scratch;                                             // (channels, pixels of the tile)
  float* paint_sums = scratch + int64_t(channels) * kTilePixels;      // (channels, lanes)
  Tile tile = open_tile(lists, g.width, g.height, tile_index, transmittance);
  const Limit limit = limit_of(limits);
  const int64_t plane = int64_t(g.width) * g.height;
  const int paints = g.color_grad ? records.channels : 0;
  // Without a gradient of the colors, the depth is the only channel; it is the record's last.
  const int first_channel = kRecordPaint + (g.color_grad ? 0 : records.channels);

  for (int i = 0; i < channels * kTilePixels; i += W) Vec(0.0f).store(grads + i);
  for (int i = 0; i < kTilePixels; i += W) Vec(0.0f).store(behind + i);
  for_each_run(tile, g.width, g.height, [&](int at, int64_t pixel, int run) {
    for (int i = 0; i < run; ++i) {
      float alpha = g.alpha[pixel + i], q = 0.0f, alpha_grad = g.alpha_grad ? g.alpha_grad[pixel + i] : 0.0f;
      for (int c = 0; c < paints; ++c) {
        float grad = g.color_grad[c * plane + pixel + i];
        grads[c * kTilePixels + at + i] = grad;
        q += grad * g.color[c * plane + pixel + i];
      }
      if (g.depth_grad && alpha > 0.0f) {
        // depth is a sum divided by alpha
        float grad = g.depth_grad[pixel + i] / alpha, pull = grad * g.depth[pixel + i];
        grads[paints * kTilePixels + at + i] = grad;
        alpha_grad -= pull;
        q += pull * alpha;
      }
      behind[at + i] = q - alpha_grad * (1.0f - alpha);
    }
  });

  Brush brush;
  const int stop = tile.begin + g.stops[tile_index];
  for (int entry = tile.begin; entry < tile.end; ++entry) {
    float* partial = g.partials + int64_t(entry) * size;
    uint32_t left = entry < stop ? lists.blocks[entry] & tile.live : 0;
    if (entry + kAhead < stop) ask_for(records, lists, entry + kAhead);
    if (!left) {
      for (int i = 0; i < size; ++i) partial[i] = 0.0f;
      continue;
    }
    const float* record = records.data + int64_t(lists.ranks[entry]) * records.stride;
    const float* paint = record + first_channel;
    dip(brush, record, tile);
    Vec moments[6] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    Vec sums[channels_or_any ? channels_or_any : 1];
    if (channels_or_any)
      for (Vec& sum : sums) sum = Vec(0.0f);
    else
      for (int i = 0; i < channels * W; i += W) Vec(0.0f).store(paint_sums + i);
    for (; left; left &= left - 1) {
      int block = __builtin_ctz(left);
      bool filled = false;
      for (int part = 0; part < kParts; ++part) {
        int at = block * kBlockPixels + part * W;
        Vec before = Vec::load(transmittance + at);
        Dab d;
        if (!dab(brush, limit, block, part, before, d)) continue;
        d.transmittance.store(transmittance + at);
        filled |= d.filled;
        Vec dot(0.0f);
        for (int c = 0; c < channels; ++c) {
          Vec grad = Vec::load(grads + c * kTilePixels + at);
          if (geometry) dot = fma(grad, Vec(paint[c]), dot);
          if (channels_or_any)
            sums[c] = fma(d.weight, grad, sums[c]);
          else
            fma(d.weight, grad, Vec::load(paint_sums + c * W)).store(paint_sums + c * W);
        }
        if (!geometry) continue;
        Vec q = Vec::load(behind + at);
        fnma(d.weight, dot, q).store(behind + at);
        // d loss / d ln alpha; a clamped alpha does not move
        Vec pull = d.alpha * fma(before, dot, -q) / (Vec(1.0f) - d.alpha);
        pull = zero_unless(both(d.painted, at_least(limit.alpha_max, d.unclamped)), pull);
        Vec pull_u = pull * d.u, pull_v = pull * d.v;
        moments[0] = moments[0] + pull;
        moments[1] = moments[1] + pull_u;
        moments[2] = moments[2] + pull_v;
        moments[3] = fma(pull_u, d.u, moments[3]);
        moments[4] = fma(pull_u, d.v, moments[4]);
        moments[5] = fma(pull_v, d.v, moments[5]);
      }
      if (filled && is_full(transmittance + block * kBlockPixels)) tile.live &= ~(1u << block);
    }
    if (geometry)
      for (int i = 0; i < 6; ++i) *partial++ = sum(moments[i]);
    for (int c = 0; c < channels; ++c) *partial++ = sum(channels_or_any ? sums[channels_or_any ? c : 0] : Vec::load(paint_sums + c * W));
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
