// Weighted L1 and structural dissimilarity of two images, and their gradient, row by row.
//
// With u = color + target and d = color - target, SSIM follows from the local means of u, d, u^2 and d^2 (image/ssim.py). The two
// passes of each mean, SSIM and its derivatives, and the two passes of their adjoint follow each other at a distance of a few rows.
// Between them only the last rows are kept, in rings that stay in the cache.
#pragma once

#include "simd.hpp"
#include "splatpaint/kernels.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kLanes = Vec::width;
constexpr int kReach = kWindowSide / 2;
constexpr int kMeans = 4;     // of u, d, u^2, d^2
constexpr int kAdjoints = 3;  // by the mean of u plus that by the mean of d; by that of u^2; by that of d^2

// Rows of scratch. All are `stride` floats; what lies beyond an image's columns is zero or finite, and counts nowhere.
struct Rows {
  int stride;
  float* padded[kMeans];              // the newest row of the images whose means are taken, reflected at both ends
  float* means[kMeans];               // rings of kWindowSide rows: means along rows
  float* derivatives[kAdjoints];      // of the newest row, between zeros at both ends
  float* adjoints[kAdjoints];         // rings of kWindowSide rows: adjoint means along rows
  SPLATPAINT_INLINE float* mean(int which, int row) const { return means[which] + row % kWindowSide * stride; }
  SPLATPAINT_INLINE float* adjoint(int which, int row) const { return adjoints[which] + row % kWindowSide * stride; }
};

SPLATPAINT_INLINE Rows rows_in(float* scratch, int width) {
  Rows rows;
  rows.stride = photometric_stride(width);
  __builtin_memset(scratch, 0, sizeof(float) * photometric_scratch(width));
  auto take = [&](int count) __attribute__((always_inline)) {
    float* first = scratch;
    scratch += count * rows.stride;
    return first;
  };
  for (float*& row : rows.padded) row = take(1);
  for (float*& ring : rows.means) ring = take(kWindowSide);
  for (float*& row : rows.derivatives) row = take(1);
  for (float*& ring : rows.adjoints) ring = take(kWindowSide);
  return rows;
}

// One channel of one view.
struct Plane {
  const float *color, *target, *weight;
  float* gradient;  // or null
  int height, width;
};

// The first `count` of a vector's floats, then zeros.
SPLATPAINT_INLINE Vec load_first(const float* from, int count) {
  if (count >= kLanes) return Vec::load(from);
  alignas(64) float lanes[kLanes] = {};
  for (int i = 0; i < count; ++i) lanes[i] = from[i];
  return Vec::load(lanes);
}

SPLATPAINT_INLINE void store_first(Vec values, float* to, int count) {
  if (count >= kLanes) return values.store(to);
  alignas(64) float lanes[kLanes];
  values.store(lanes);
  for (int i = 0; i < count; ++i) to[i] = lanes[i];
}

SPLATPAINT_INLINE double sum_of(Vec values) {
  alignas(64) float lanes[kLanes];
  values.store(lanes);
  double sum = 0.0;
  for (float lane : lanes) sum += lane;
  return sum;
}

// A row or column of an image of `size` that an index up to kReach outside stands for.
SPLATPAINT_INLINE int reflected(int index, int size) {
  if (index < 0) return -index;
  return index < size ? index : 2 * (size - 1) - index;
}

// The tap of pixel `to`, as it is reflected at the beginning, in the mean at pixel `from`. For the end, count both from there.
SPLATPAINT_INLINE float reflected_tap(const float* taps, int to, int from) {
  return to > 0 && to + from <= kReach ? taps[kReach - to - from] : 0.0f;
}

// Sums of kWindowSide neighbors, weighted by the symmetric taps, from `in[j]` on for each j.
SPLATPAINT_INLINE void blur_row(const float* in, const float* taps, float* out, int width) {
  Vec tap[kReach + 1];
  for (int k = 0; k <= kReach; ++k) tap[k] = Vec(taps[k]);
  for (int j = 0; j < width; j += kLanes) {
    Vec sum = tap[kReach] * Vec::load(in + j + kReach);
    for (int k = 0; k < kReach; ++k) sum = fma(tap[k], Vec::load(in + j + k) + Vec::load(in + j + kWindowSide - 1 - k), sum);
    sum.store(out + j);
  }
}

SPLATPAINT_INLINE void mean_row(const PhotometricLoss& loss, const Plane& plane, const Rows& rows, int row) {
  const int width = plane.width;
  const int64_t start = int64_t(row) * width;
  float *u = rows.padded[0], *d = rows.padded[1];
  for (int j = 0; j < width; j += kLanes) {
    const int left = width - j;
    Vec x = load_first(plane.color + start + j, left), y = load_first(plane.target + start + j, left);
    x = select(greater(load_first(plane.weight + start + j, left), Vec(0.0f)), x, y);
    store_first(x + y, u + kReach + j, left);
    store_first(x - y, d + kReach + j, left);
  }
  float* const reflected_rows[] = {u, d};
  for (float* padded : reflected_rows)
    for (int k = 1; k <= kReach; ++k) {
      padded[kReach - k] = padded[kReach + k];
      padded[kReach + width - 1 + k] = padded[kReach + width - 1 - k];
    }
  for (int j = 0; j < rows.stride; j += kLanes) {
    Vec a = Vec::load(u + j), b = Vec::load(d + j);
    (a * a).store(rows.padded[2] + j);
    (b * b).store(rows.padded[3] + j);
  }
  for (int which = 0; which < kMeans; ++which) blur_row(rows.padded[which], loss.taps, rows.mean(which, row), width);
}

// SSIM of a row, from the means of the rows around it: returns the weighted sum of 1 - SSIM, and keeps the adjoint means along the row
// of its derivatives if there is a gradient.
SPLATPAINT_INLINE double similarity_row(const PhotometricLoss& loss, const Plane& plane, const Rows& rows, int row) {
  const int width = plane.width;
  const Vec c1(2.0f * loss.c1), c2(2.0f * loss.c2), one(1.0f), two(2.0f);
  Vec tap[kReach + 1], total(0.0f);
  for (int k = 0; k <= kReach; ++k) tap[k] = Vec(loss.taps[k]);
  const float* around[kMeans][kWindowSide];
  for (int which = 0; which < kMeans; ++which)
    for (int k = 0; k < kWindowSide; ++k) around[which][k] = rows.mean(which, reflected(row + k - kReach, plane.height));
  for (int j = 0; j < width; j += kLanes) {
    Vec mean[kMeans];
    for (int which = 0; which < kMeans; ++which) {
      mean[which] = tap[kReach] * Vec::load(around[which][kReach] + j);
      for (int k = 0; k < kReach; ++k)
        mean[which] = fma(tap[k], Vec::load(around[which][k] + j) + Vec::load(around[which][kWindowSide - 1 - k] + j), mean[which]);
    }
    const Vec u = mean[0], d = mean[1], uu = u * u, dd = d * d, var_u = mean[2] - uu, var_d = mean[3] - dd;
    const Vec light = uu - dd + c1, light_scale = uu + dd + c1, structure = var_u - var_d + c2, structure_scale = var_u + var_d + c2;
    const Vec rest = one / (light_scale * structure_scale);
    const Vec by_structure = light * rest, by_light = structure * rest, similarity = light * by_light;
    const Vec weight = load_first(plane.weight + int64_t(row) * width + j, width - j);
    total = fma(weight, one - similarity, total);
    if (!plane.gradient) continue;
    // similarity / light_scale and similarity / structure_scale
    const Vec over_light = similarity * structure_scale * rest, over_structure = similarity * light_scale * rest;
    const Vec factor = Vec(-loss.dssim) * weight;
    const Vec by_means = (u - d) * (by_light - by_structure) + (u + d) * (over_structure - over_light);
    (factor * two * by_means).store(rows.derivatives[0] + kReach + j);
    (factor * (by_structure - over_structure)).store(rows.derivatives[1] + kReach + j);
    (factor * (-by_structure - over_structure)).store(rows.derivatives[2] + kReach + j);
  }
  if (!plane.gradient) return sum_of(total);
  for (int which = 0; which < kAdjoints; ++which) {
    float* out = rows.adjoint(which, row);
    const float* derivative = rows.derivatives[which] + kReach;
    blur_row(rows.derivatives[which], loss.taps, out, width);
    for (int to = 1; to <= kReach; ++to)
      for (int from = 0; from + to <= kReach; ++from) {
        const float tap = reflected_tap(loss.taps, to, from);
        out[to] += tap * derivative[from];
        out[width - 1 - to] += tap * derivative[width - 1 - from];
      }
  }
  return sum_of(total);
}

// The weighted sum of absolute differences of a row, and its gradient with that of SSIM.
SPLATPAINT_INLINE double difference_row(const PhotometricLoss& loss, const Plane& plane, const Rows& rows, int row) {
  const int width = plane.width, height = plane.height;
  const int64_t start = int64_t(row) * width;
  const Vec zero(0.0f), one(1.0f), two(2.0f), share(1.0f - loss.dssim);
  Vec total(0.0f);
  float taps[kWindowSide];
  const float* around[kAdjoints][kWindowSide];
  for (int k = 0; k < kWindowSide; ++k) {
    const int from = row + k - kReach;
    const bool inside = from >= 0 && from < height;
    taps[k] = inside ? loss.taps[k] + reflected_tap(loss.taps, row, from) + reflected_tap(loss.taps, height - 1 - row, height - 1 - from) : 0.0f;
    for (int which = 0; which < kAdjoints; ++which) around[which][k] = rows.adjoint(which, inside ? from : row);
  }
  for (int j = 0; j < width; j += kLanes) {
    const int left = width - j;
    const Vec x = load_first(plane.color + start + j, left), y = load_first(plane.target + start + j, left);
    const Vec weight = load_first(plane.weight + start + j, left), difference = x - y;
    total = fma(weight, max(difference, -difference), total);
    if (!plane.gradient) continue;
    const Vec sign = zero_unless(greater(difference, zero), one) - zero_unless(greater(zero, difference), one);
    Vec gradient = share * weight * sign;
    if (loss.dssim > 0.0f) {
      Vec adjoint[kAdjoints] = {zero, zero, zero};
      for (int k = 0; k < kWindowSide; ++k)
        for (int which = 0; which < kAdjoints; ++which) adjoint[which] = fma(Vec(taps[k]), Vec::load(around[which][k] + j), adjoint[which]);
      const Vec structural = fma(two, fma(x + y, adjoint[1], difference * adjoint[2]), adjoint[0]);
      gradient = gradient + zero_unless(greater(weight, zero), structural);
    }
    store_first(gradient, plane.gradient + start + j, left);
  }
  return (1.0f - loss.dssim) * sum_of(total);
}

double photometric(const PhotometricLoss& loss, int plane_number, int begin, int end, float* scratch) {
  const int64_t pixels = int64_t(loss.height) * loss.width;
  const int view = plane_number / loss.channels;
  const Plane plane{loss.color + plane_number * pixels, loss.target + plane_number * pixels, loss.weight + view * pixels,
                    loss.gradient ? loss.gradient + plane_number * pixels : nullptr, loss.height, loss.width};
  const Rows rows = rows_in(scratch, plane.width);
  int next_similarity = begin > kReach ? begin - kReach : 0;
  int next_mean = next_similarity > kReach ? next_similarity - kReach : 0;
  double total = 0.0;
  for (int row = begin; row < end; ++row) {
    if (loss.dssim > 0.0f)
      for (; next_similarity <= row + kReach && next_similarity < plane.height; ++next_similarity) {
        for (; next_mean <= next_similarity + kReach && next_mean < plane.height; ++next_mean) mean_row(loss, plane, rows, next_mean);
        const double dissimilarity = similarity_row(loss, plane, rows, next_similarity);
        if (next_similarity >= begin && next_similarity < end) total += loss.dssim * dissimilarity;
      }
    total += difference_row(loss, plane, rows, row);
  }
  return total;
}

}  // namespace splatpaint::SPLATPAINT_TARGET
