// Which blocks of which tiles a splat touches: exactly those that its ellipse of alpha >= alpha_min crosses.
#pragma once

#include "projection.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kBands = 16;  // rows of blocks looked at together: four rows of tiles

// Lanes 0 to 15, for anything that counts.
alignas(64) constexpr float kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

SPLATPAINT_INLINE int int_between(float x, int low, int high) { return x < float(low) ? low : x > float(high) ? high : int(x); }

int touched_tiles(const float* mean2d, const float* shape, const Limits& limits, int width, int height, int capacity, uint32_t* tiles,
                  uint16_t* blocks) {
  const float a = shape[0], b = shape[1], e = shape[2];
  const float last_center = kBlockSide - 0.5f;
  // A little room, as alpha is computed along another path than this outline.
  const float above = (shape[3] - __builtin_log2f(limits.alpha_min)) * 1.0001f + 1e-4f;
  const float slant = a * a + e * e;
  const float half_x = __builtin_sqrtf(above) / e;
  const float half_y = half_x * __builtin_sqrtf(slant) / b;
  const float room = 1e-3f + 1e-5f * (half_x + half_y);
  const int columns = (width + kBlockSide - 1) / kBlockSide, bands = (height + kBlockSide - 1) / kBlockSide;
  // Block j holds the pixel centers from 4 j + .5 to 4 j + 3.5.
  const float per_block = 1.0f / kBlockSide;
  const int first_band = int_between(__builtin_ceilf((mean2d[1] - half_y - room - last_center) * per_block), 0, bands);
  const int last_band = int_between(__builtin_floorf((mean2d[1] + half_y + room - 0.5f) * per_block), -1, bands - 1);
  // The ellipse is (a dx + b dy)^2 + (e dx)^2 <= above. Its rightmost point lies at dy = -tangent, its leftmost at dy = tangent.
  const float tangent = a / b * half_x;
  const Vec inverse(1.0f / slant), across(above * slant), falloff(e * e * b * b), lean(-a * b);
  const int tile_columns = tiles_across(width);
  int count = 0;
  for (int row = first_band / 4; row <= last_band / 4 && first_band <= last_band; row += kBands / 4) {
    alignas(64) float low[kBands], high[kBands];
    for (int lane = 0; lane < kBands; lane += W) {
      Vec top = fma(Vec::load(kLane + lane), Vec(float(kBlockSide)), Vec(row * kTileSide + 0.5f - mean2d[1]));
      Vec bottom = top + Vec(float(kBlockSide - 1));
      Vec at_right = clamp(Vec(-tangent), top, bottom), at_left = clamp(Vec(tangent), top, bottom);
      Vec right = fma(lean, at_right, sqrt(max(fnma(falloff, at_right * at_right, across), Vec(0.0f)))) * inverse;
      Vec left = (lean * at_left - sqrt(max(fnma(falloff, at_left * at_left, across), Vec(0.0f)))) * inverse;
      (-floor((Vec(last_center + room - mean2d[0]) - left) * Vec(per_block))).store(low + lane);
      floor((right + Vec(mean2d[0] + room - 0.5f)) * Vec(per_block)).store(high + lane);
    }
    for (int tile_row = row; tile_row < row + kBands / 4 && tile_row <= last_band / 4; ++tile_row) {
      int from[4], to[4], leftmost = columns, rightmost = -1;
      for (int i = 0; i < 4; ++i) {
        int band = tile_row * 4 + i;
        bool inside = band >= first_band && band <= last_band;
        from[i] = inside ? int_between(low[band - row * 4], 0, columns) : columns;
        to[i] = inside ? int_between(high[band - row * 4], -1, columns - 1) : -1;
        if (from[i] > to[i]) continue;
        leftmost = from[i] < leftmost ? from[i] : leftmost;
        rightmost = to[i] > rightmost ? to[i] : rightmost;
      }
      for (int column = leftmost / 4; column <= rightmost / 4 && leftmost <= rightmost; ++column) {
        uint32_t touched = 0;
        for (int i = 0; i < 4; ++i) {
          int left = from[i] - column * 4, right = to[i] - column * 4;
          left = left < 0 ? 0 : left;
          right = right > 3 ? 3 : right;
          if (left <= right) touched |= ((2u << right) - (1u << left)) << (4 * i);
        }
        if (!touched || count == capacity) continue;
        tiles[count] = uint32_t(tile_row * tile_columns + column);
        blocks[count] = uint16_t(touched);
        ++count;
      }
    }
  }
  return count;
}

}  // namespace splatpaint::SPLATPAINT_TARGET
