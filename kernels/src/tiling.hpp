// Finds the blocks of the tiles that a splat touches: those that its ellipse of alpha >= alpha_min intersects.
#pragma once

#include "projection.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kBands = 16;                    // rows of blocks processed together: two rows of tiles
constexpr int kWindow = 7;                    // columns of tiles processed together: their blocks fit into 63 bits
constexpr int kWindowBlocks = kWindow * kTileBlocks;
static_assert(kBands % kTileBlocks == 0 && kWindowBlocks < 64 && kTileBlocks == 8);

// Lane numbers.
alignas(64) constexpr float kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Ellipses (a dx + b dy)^2 + (e dx)^2 <= above of one vector of splats (one lane each), and the blocks that their bounding boxes touch.
// Block j holds the pixel centers from 4 j + .5 to 4 j + 3.5.
struct EllipseBounds {
  alignas(64) float x[W], y[W], margin[W];
  alignas(64) float tangent[W];                              // the rightmost point lies at dy = -tangent, the leftmost at dy = tangent
  alignas(64) float lean[W], falloff[W], across[W], per[W];  // dx = (lean dy +- sqrt(across - falloff dy^2)) per
  alignas(64) int32_t first_column[W], last_column[W], first_band[W], last_band[W];
};

constexpr float kLastCenter = kBlockSide - 0.5f;
constexpr float kPerBlock = 1.0f / kBlockSide;

SPLATPAINT_INLINE void ellipse_bounds(const Projection& p, const Limits& limits, int columns, int bands, int64_t first, int count,
                                      EllipseBounds& bounds) {
  Vec center[2], shape[4];
  load_rows<2>(p.means2d + first * 2, count, center);
  load_rows<4>(p.shapes + first * 4, count, shape);
  const Vec a = shape[0], b = shape[1], e = shape[2], zero(0.0f), one(1.0f), per_block(kPerBlock);
  // A small margin: alpha is computed with another rounding than these bounds.
  const Vec above = fma(shape[3] - Vec(__builtin_log2f(limits.alpha_min)), Vec(1.0001f), Vec(1e-4f));
  const Vec slant = a * a + e * e, half_x = sqrt(max(above, zero)) / e, half_y = half_x * sqrt(slant) / b;
  const Vec margin = fma(half_x + half_y, Vec(1e-5f), Vec(1e-3f));
  center[0].store(bounds.x);
  center[1].store(bounds.y);
  margin.store(bounds.margin);
  (a / b * half_x).store(bounds.tangent);
  (-(a * b)).store(bounds.lean);
  (e * e * b * b).store(bounds.falloff);
  (above * slant).store(bounds.across);
  (one / slant).store(bounds.per);
  const Vec reach_x = half_x + margin, reach_y = half_y + margin, last(kLastCenter), half(0.5f);
  store_ints(clamp(-floor((last + reach_x - center[0]) * per_block), zero, Vec(float(columns))), bounds.first_column);
  store_ints(clamp(floor((center[0] + reach_x - half) * per_block), -one, Vec(float(columns - 1))), bounds.last_column);
  store_ints(clamp(-floor((last + reach_y - center[1]) * per_block), zero, Vec(float(bands))), bounds.first_band);
  store_ints(clamp(floor((center[1] + reach_y - half) * per_block), -one, Vec(float(bands - 1))), bounds.last_band);
}

// The blocks [begin, end) of each of 16 bands from `band` on that the ellipse crosses, counted from `column` and cut to the window.
SPLATPAINT_INLINE void crossings(const EllipseBounds& bounds, int lane, int band, int column, int last_column, int32_t begin[kBands],
                                 int32_t end[kBands]) {
  const Vec per(bounds.per[lane]), across(bounds.across[lane]), falloff(bounds.falloff[lane]);
  const Vec lean(bounds.lean[lane]), tangent(bounds.tangent[lane]);
  const Vec zero(0.0f), width(float(last_column - column + 1));
  const Vec first(float(bounds.first_band[lane] - band)), last(float(bounds.last_band[lane] - band));
  const float x = bounds.x[lane] - float(column * kBlockSide), y = bounds.y[lane] - float(band * kBlockSide);
  const Vec right_shift(x + bounds.margin[lane] - 0.5f), left_shift(x - bounds.margin[lane] - kLastCenter);
  for (int part = 0; part < kBands; part += W) {
    const Vec step = Vec::load(kLane + part);
    const Vec top = fma(step, Vec(float(kBlockSide)), Vec(0.5f - y)), bottom = top + Vec(kBlockSide - 1.0f);
    const Vec at_right = clamp(-tangent, top, bottom), at_left = clamp(tangent, top, bottom);
    const Vec right = fma(fma(lean, at_right, sqrt(max(fnma(falloff, at_right * at_right, across), zero))), per, right_shift);
    const Vec left = fma(fms(lean, at_left, sqrt(max(fnma(falloff, at_left * at_left, across), zero))), per, left_shift);
    const Vec from = clamp(-floor(-(left * Vec(kPerBlock))), zero, width);
    const Vec to = clamp(floor(fma(right, Vec(kPerBlock), Vec(1.0f))), from, width);
    const Mask inside = both(at_least(step, first), at_least(last, step));
    store_ints(zero_unless(inside, from), begin + part);
    store_ints(zero_unless(inside, to), end + part);
  }
}

SPLATPAINT_INLINE int64_t touch_one(const EllipseBounds& bounds, int lane, int columns, int tile_columns, const Touched& out,
                                    int64_t count) {
  const int first_row = bounds.first_band[lane] / kTileBlocks, first_tile = bounds.first_column[lane] / kTileBlocks;
  const int last_row = bounds.first_band[lane] <= bounds.last_band[lane] ? bounds.last_band[lane] / kTileBlocks : -1;
  const int last_tile = bounds.first_column[lane] <= bounds.last_column[lane] ? bounds.last_column[lane] / kTileBlocks : -1;
  for (int row = first_row; row <= last_row; row += kBands / kTileBlocks) {
    for (int tile = first_tile; tile <= last_tile; tile += kWindow) {
      const int tiles = last_tile - tile + 1 < kWindow ? last_tile - tile + 1 : kWindow;
      const int last_block = (tile + tiles) * kTileBlocks - 1;
      alignas(64) int32_t from[kBands], to[kBands];
      crossings(bounds, lane, row * kTileBlocks, tile * kTileBlocks, last_block < columns - 1 ? last_block : columns - 1, from, to);
      for (int r = row; r < row + kBands / kTileBlocks && r <= last_row; ++r) {
        uint64_t spans[kTileBlocks];
        for (int i = 0; i < kTileBlocks; ++i) {
          const int band = (r - row) * kTileBlocks + i;
          spans[i] = (uint64_t(1) << to[band]) - (uint64_t(1) << from[band]);
        }
        for (int t = 0; t < tiles; ++t) {
          uint64_t blocks = 0;
          for (int i = 0; i < kTileBlocks; ++i) blocks |= (spans[i] >> (kTileBlocks * t) & 0xff) << (kTileBlocks * i);
          if (count == out.capacity) return count;
          out.tiles[count] = uint32_t(r * tile_columns + tile + t);
          out.blocks[count] = blocks;
          count += blocks != 0;
        }
      }
    }
  }
  return count;
}

int64_t touch(const Projection& p, const Limits& limits, int width, int height, int64_t begin, int64_t end, const Touched& out) {
  const int columns = (width + kBlockSide - 1) / kBlockSide, bands = (height + kBlockSide - 1) / kBlockSide;
  int64_t count = 0;
  EllipseBounds bounds;
  for (int64_t first = begin; first < end; first += W) {
    const int some = end - first < W ? int(end - first) : W;
    ellipse_bounds(p, limits, columns, bands, first, some, bounds);
    for (int lane = 0; lane < some; ++lane) {
      const int64_t before = count;
      if (p.radii[first + lane] > 0) count = touch_one(bounds, lane, columns, tiles_across(width), out, count);
      out.counts[first + lane] = int32_t(count - before);
    }
  }
  return count;
}

}  // namespace splatpaint::SPLATPAINT_TARGET
