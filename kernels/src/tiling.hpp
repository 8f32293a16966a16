// Which blocks of which tiles a splat touches: exactly those that its ellipse of alpha >= alpha_min crosses.
#pragma once

#include "projection.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kBands = 16;                    // rows of blocks looked at together: two rows of tiles
constexpr int kWindow = 7;                    // columns of tiles looked at together: their blocks fit the bits of an integer, and one more
constexpr int kWindowBlocks = kWindow * kTileBlocks;
static_assert(kBands % kTileBlocks == 0 && kWindowBlocks < 64 && kTileBlocks == 8);

// Lanes 0 to 15, for anything that counts.
alignas(64) constexpr float kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

SPLATPAINT_INLINE int int_between(float x, int low, int high) { return x < float(low) ? low : x > float(high) ? high : int(x); }

// The ellipse (a dx + b dy)^2 + (e dx)^2 <= above around a center, and the blocks that its bounding box touches.
// Block j holds the pixel centers from 4 j + .5 to 4 j + 3.5.
struct Outline {
  float x, y, room;
  float tangent;                       // the rightmost point lies at dy = -tangent, the leftmost at dy = tangent
  float lean, falloff, across, slant;  // dx = (lean dy +- sqrt(across - falloff dy^2)) / slant
  int first_column, last_column, first_band, last_band;
};

constexpr float kLastCenter = kBlockSide - 0.5f;
constexpr float kPerBlock = 1.0f / kBlockSide;

SPLATPAINT_INLINE Outline outline_of(const float* record, float log2_alpha_min, int columns, int bands) {
  Outline o;
  const float a = record[2], b = record[3], e = record[4];
  o.x = record[0];
  o.y = record[1];
  // A little room, as alpha is computed along another path than this outline.
  const float above = (record[5] - log2_alpha_min) * 1.0001f + 1e-4f;
  o.slant = a * a + e * e;
  o.lean = -a * b;
  o.falloff = e * e * b * b;
  o.across = above * o.slant;
  const float half_x = __builtin_sqrtf(above) / e, per_b = 1.0f / b;
  const float half_y = half_x * __builtin_sqrtf(o.slant) * per_b;
  o.tangent = a * per_b * half_x;
  o.room = 1e-3f + 1e-5f * (half_x + half_y);
  o.first_column = int_between(__builtin_ceilf((o.x - half_x - o.room - kLastCenter) * kPerBlock), 0, columns);
  o.last_column = int_between(__builtin_floorf((o.x + half_x + o.room - 0.5f) * kPerBlock), -1, columns - 1);
  o.first_band = int_between(__builtin_ceilf((o.y - half_y - o.room - kLastCenter) * kPerBlock), 0, bands);
  o.last_band = int_between(__builtin_floorf((o.y + half_y + o.room - 0.5f) * kPerBlock), -1, bands - 1);
  return o;
}

// The blocks [begin, end) of each of 16 bands from `band` on that the ellipse crosses, counted from `column` and cut to the window.
SPLATPAINT_INLINE void crossings(const Outline& o, int band, int column, int last_column, float begin[kBands], float end[kBands]) {
  const Vec inverse(1.0f / o.slant), across(o.across), falloff(o.falloff), lean(o.lean), tangent(o.tangent);
  const Vec zero(0.0f), width(float(last_column - column + 1)), first(float(o.first_band - band)), last(float(o.last_band - band));
  const Vec right_shift(o.x + o.room - 0.5f - float(column * kBlockSide)), left_shift(o.x - o.room - kLastCenter - float(column * kBlockSide));
  for (int part = 0; part < kBands; part += W) {
    Vec lane = Vec::load(kLane + part);
    Vec top = fma(lane, Vec(float(kBlockSide)), Vec(float(band * kBlockSide) + 0.5f - o.y)), bottom = top + Vec(kBlockSide - 1.0f);
    Vec at_right = clamp(-tangent, top, bottom), at_left = clamp(tangent, top, bottom);
    Vec right = fma(fma(lean, at_right, sqrt(max(fnma(falloff, at_right * at_right, across), zero))), inverse, right_shift);
    Vec left = fma(lean * at_left - sqrt(max(fnma(falloff, at_left * at_left, across), zero)), inverse, left_shift);
    Vec from = clamp(-floor(-(left * Vec(kPerBlock))), zero, width);
    Vec to = clamp(floor(fma(right, Vec(kPerBlock), Vec(1.0f))), from, width);
    Mask inside = both(at_least(lane, first), at_least(last, lane));
    zero_unless(inside, from).store(begin + part);
    zero_unless(inside, to).store(end + part);
  }
}

int64_t touch(const Records& records, const int32_t* radii, const Limits& limits, int width, int height, int64_t begin, int64_t end,
              const Touched& out) {
  const int columns = (width + kBlockSide - 1) / kBlockSide, bands = (height + kBlockSide - 1) / kBlockSide;
  const int tile_columns = tiles_across(width);
  const float log2_alpha_min = __builtin_log2f(limits.alpha_min);
  int64_t count = 0;
  for (int64_t splat = begin; splat < end; ++splat) {
    out.counts[splat] = 0;
    if (radii[splat] <= 0) continue;
    const int64_t before = count;
    const Outline o = outline_of(records.data + splat * records.stride, log2_alpha_min, columns, bands);
    const int first_row = o.first_band / kTileBlocks, last_row = o.first_band <= o.last_band ? o.last_band / kTileBlocks : -1;
    const int first_tile = o.first_column / kTileBlocks, last_tile = o.first_column <= o.last_column ? o.last_column / kTileBlocks : -1;
    for (int row = first_row; row <= last_row; row += kBands / kTileBlocks) {
      for (int tile = first_tile; tile <= last_tile; tile += kWindow) {
        const int tiles = last_tile - tile + 1 < kWindow ? last_tile - tile + 1 : kWindow;
        const int last_block = (tile + tiles) * kTileBlocks - 1;
        alignas(64) float from[kBands], to[kBands];
        crossings(o, row * kTileBlocks, tile * kTileBlocks, last_block < columns - 1 ? last_block : columns - 1, from, to);
        for (int r = row; r < row + kBands / kTileBlocks && r <= last_row; ++r) {
          uint64_t spans[kTileBlocks];
          for (int i = 0; i < kTileBlocks; ++i) {
            const int band = (r - row) * kTileBlocks + i;
            spans[i] = (uint64_t(1) << int(to[band])) - (uint64_t(1) << int(from[band]));
          }
          for (int t = 0; t < tiles; ++t) {
            uint64_t blocks = 0;
            for (int i = 0; i < kTileBlocks; ++i) blocks |= (spans[i] >> (kTileBlocks * t) & 0xff) << (kTileBlocks * i);
            if (count == out.room) return count;
            out.tiles[count] = uint32_t(r * tile_columns + tile + t);
            out.blocks[count] = blocks;
            count += blocks != 0;
          }
        }
      }
    }
    out.counts[splat] = int32_t(count - before);
  }
  return count;
}

}  // namespace splatpaint::SPLATPAINT_TARGET
