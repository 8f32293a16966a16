// One V-cycle of geometric multigrid for the 5-point Laplacian in the holes of an image (image/harmonic.py), a plane at a time.
#pragma once

#include "simd.hpp"
#include "splatpaint/kernels.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

// Arrays of one resolution, with a border of one pixel around the image and zeros from there to the end of a row.
struct Level {
  int height, width, stride;
  float* x;       // the solution, zero outside the holes
  float* spare;   // the next one
  float* source;  // the negative Laplacian that x shall have
  float* hole;    // 1 or 0
  SPLATPAINT_INLINE int64_t at(int row) const { return int64_t(row + 1) * stride + 1; }
};

SPLATPAINT_INLINE Level level_in(float* scratch, int height, int width) {
  const int64_t size = int64_t(height + 2) * multigrid_stride(width);
  return {height, width, multigrid_stride(width), scratch, scratch + size, scratch + 2 * size, scratch + 3 * size};
}

// Copies the outermost pixels into the border: no flux crosses it.
SPLATPAINT_INLINE void extend(const Level& level, float* values) {
  for (int row = 0; row < level.height; ++row) {
    float* first = values + level.at(row);
    first[-1] = first[0];
    first[level.width] = first[level.width - 1];
  }
  const int64_t bytes = sizeof(float) * level.stride;
  __builtin_memcpy(values, values + level.stride, bytes);
  __builtin_memcpy(values + (level.height + 1) * int64_t(level.stride), values + level.height * int64_t(level.stride), bytes);
}

// spare = (keep x + step (source minus the negative Laplacian of x)) in the holes, 0 elsewhere.
SPLATPAINT_INLINE void relax(const Level& level, float keep, float step) {
  extend(level, level.x);
  const int lanes = Vec::width;
  const Vec four(4.0f), kept(keep), factor(step);
  for (int row = 0; row < level.height; ++row) {
    const int64_t start = level.at(row);
    const float *here = level.x + start, *above = here - level.stride, *below = here + level.stride;
    for (int j = 0; j < level.width; j += lanes) {
      const Vec x = Vec::load(here + j);
      const Vec around = Vec::load(above + j) + Vec::load(below + j) + Vec::load(here + j - 1) + Vec::load(here + j + 1);
      const Vec residual = Vec::load(level.source + start + j) + around - four * x;
      (Vec::load(level.hole + start + j) * fma(factor, residual, kept * x)).store(level.spare + start + j);
    }
  }
}

SPLATPAINT_INLINE void sweep(Level& level, int count, float damping) {
  for (int i = 0; i < count; ++i) {
    relax(level, 1.0f, damping / 4.0f);
    float* before = level.x;
    level.x = level.spare;
    level.spare = before;
  }
}

// Residual and holes at half the resolution; an odd last row or column is repeated. A coarse pixel is a hole if all its pixels are; the
// factor 4 of the doubled grid spacing squared makes the mean of four a sum. Returns whether there is a hole.
SPLATPAINT_INLINE bool restrict_to(const Level& fine, Level& coarse) {
  bool any_hole = false;
  for (int row = 0; row < coarse.height; ++row) {
    const int64_t start = coarse.at(row), upper = fine.at(2 * row), lower = 2 * row + 1 < fine.height ? upper + fine.stride : upper;
    for (int j = 0; j < coarse.width; ++j) {
      const int left = 2 * j, right = left + 1 < fine.width ? left + 1 : left;
      const float* hole = fine.hole;
      const float* residual = fine.spare;
      coarse.hole[start + j] = hole[upper + left] * hole[upper + right] * hole[lower + left] * hole[lower + right];
      coarse.source[start + j] = coarse.hole[start + j] * (residual[upper + left] + residual[upper + right] + residual[lower + left] + residual[lower + right]);
      any_hole |= coarse.hole[start + j] > 0.0f;
    }
  }
  return any_hole;
}

// Adds the bilinear interpolation of the coarse solution, in the holes.
SPLATPAINT_INLINE void interpolate(const Level& coarse, Level& fine) {
  extend(coarse, coarse.x);
  float* between = coarse.spare;  // a row of the coarse grid, between two of its rows
  for (int row = 0; row < fine.height; ++row) {
    const float* near = coarse.x + coarse.at(row / 2) - 1;
    const float* far = row % 2 ? near + coarse.stride : near - coarse.stride;
    for (int j = 0; j < coarse.width + 2; ++j) between[j] = 0.75f * near[j] + 0.25f * far[j];
    float* x = fine.x + fine.at(row);
    const float* hole = fine.hole + fine.at(row);
    for (int j = 0; j < fine.width; ++j) {
      const int center = j / 2 + 1;
      x[j] += hole[j] * (0.75f * between[center] + 0.25f * between[j % 2 ? center + 1 : center - 1]);
    }
  }
}

// Starts from 0. `scratch` begins with the level's own arrays, source and hole filled, and has room for all coarser ones.
inline void v_cycle(const MultigridCycle& cycle, Level& level, float* scratch) {
  const int shorter = level.height < level.width ? level.height : level.width;
  if (shorter <= cycle.coarsest_px) return sweep(level, cycle.coarsest_sweeps, cycle.damping);
  sweep(level, cycle.sweeps, cycle.damping);
  relax(level, 0.0f, 1.0f);  // spare is the residual
  scratch += multigrid_level(level.height, level.width);
  Level coarse = level_in(scratch, (level.height + 1) / 2, (level.width + 1) / 2);
  __builtin_memset(scratch, 0, sizeof(float) * multigrid_level(coarse.height, coarse.width));
  if (restrict_to(level, coarse)) {
    v_cycle(cycle, coarse, scratch);
    interpolate(coarse, level);
  }
  sweep(level, cycle.sweeps, cycle.damping);
}

void multigrid(const MultigridCycle& cycle, int plane, float* scratch) {
  const int64_t pixels = int64_t(cycle.height) * cycle.width;
  Level level = level_in(scratch, cycle.height, cycle.width);
  __builtin_memset(scratch, 0, sizeof(float) * multigrid_level(cycle.height, cycle.width));
  const float *source = cycle.source + plane * pixels, *hole = cycle.holes + plane / cycle.channels * pixels;
  float* correction = cycle.correction + plane * pixels;
  const int64_t bytes = sizeof(float) * cycle.width;
  for (int row = 0; row < cycle.height; ++row) {
    __builtin_memcpy(level.source + level.at(row), source + int64_t(row) * cycle.width, bytes);
    __builtin_memcpy(level.hole + level.at(row), hole + int64_t(row) * cycle.width, bytes);
  }
  v_cycle(cycle, level, scratch);
  for (int row = 0; row < cycle.height; ++row) __builtin_memcpy(correction + int64_t(row) * cycle.width, level.x + level.at(row), bytes);
}

}  // namespace splatpaint::SPLATPAINT_TARGET
