// Colors from spherical harmonics (real, degree 0 to 3, Condon-Shortley phase kept, as in 3D Gaussian splatting).
// The basis is evaluated for a vector of splats at a time; the sums over terms run splat by splat, where coefficients are contiguous.
#pragma once

#include "projection.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int kTermsMax = 16;
constexpr float kC0 = 0.28209479177387814f;  // sqrt(1 / 4 pi)
constexpr float kC1 = 0.4886025119029199f;   // sqrt(3 / 4 pi)
constexpr float kC2 = 1.0925484305920792f;   // sqrt(15 / 4 pi)
constexpr float kC20 = 0.31539156525252005f;  // sqrt(5 / 16 pi)
constexpr float kC30 = 0.3731763325901154f;   // sqrt(7 / 16 pi)
constexpr float kC31 = 0.4570457994644658f;   // sqrt(21 / 32 pi)
constexpr float kC32 = 1.445305721320277f;    // sqrt(105 / 16 pi)
constexpr float kC33 = 0.5900435899266435f;   // sqrt(35 / 32 pi)

struct Directions {
  Vec x, y, z;  // unit, from the camera's center
  Vec scale;    // 1 / distance
};

SPLATPAINT_INLINE Directions directions_to(const float* means, const float center[3], int count) {
  Vec d[3];
  load_rows<3>(means, count, d);
  for (int i = 0; i < 3; ++i) d[i] = d[i] - Vec(center[i]);
  Vec scale = Vec(1.0f) / max(sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]), Vec(1e-12f));
  return {d[0] * scale, d[1] * scale, d[2] * scale, scale};
}

SPLATPAINT_INLINE void basis_at(const Directions& d, int terms, float out[kTermsMax][W]) {
  Vec x = d.x, y = d.y, z = d.z;
  Vec(kC0).store(out[0]);
  if (terms < 4) return;
  (Vec(-kC1) * y).store(out[1]);
  (Vec(kC1) * z).store(out[2]);
  (Vec(-kC1) * x).store(out[3]);
  if (terms < 9) return;
  Vec xx = x * x, yy = y * y, zz = z * z;
  (Vec(kC2) * x * y).store(out[4]);
  (Vec(-kC2) * y * z).store(out[5]);
  (Vec(kC20) * (zz + zz - xx - yy)).store(out[6]);
  (Vec(-kC2) * x * z).store(out[7]);
  (Vec(0.5f * kC2) * (xx - yy)).store(out[8]);
  if (terms < 16) return;
  const Vec three(3.0f), four(4.0f), two(2.0f);
  (Vec(-kC33) * y * (three * xx - yy)).store(out[9]);
  (Vec(2.0f * kC32) * x * y * z).store(out[10]);
  (Vec(-kC31) * y * (four * zz - xx - yy)).store(out[11]);
  (Vec(kC30) * z * (two * zz - three * (xx + yy))).store(out[12]);
  (Vec(-kC31) * x * (four * zz - xx - yy)).store(out[13]);
  (Vec(kC32) * z * (xx - yy)).store(out[14]);
  (Vec(-kC33) * x * (xx - three * yy)).store(out[15]);
}

// Gradient of the sum over terms of g * basis by the viewed point.
SPLATPAINT_INLINE void basis_backward(const Directions& d, int terms, const float g_terms[kTermsMax][W], Vec out[3]) {
  Vec x = d.x, y = d.y, z = d.z;
  auto g = [&](int term) __attribute__((always_inline)) { return Vec::load(g_terms[term]); };
  Vec gx = Vec(-kC1) * g(3), gy = Vec(-kC1) * g(1), gz = Vec(kC1) * g(2);
  if (terms >= 9) {
    const Vec two(2.0f);
    Vec g4 = Vec(kC2) * g(4), g5 = Vec(-kC2) * g(5), g6 = Vec(2.0f * kC20) * g(6), g7 = Vec(-kC2) * g(7), g8 = Vec(kC2) * g(8);
    gx = gx + g4 * y - g6 * x + g7 * z + g8 * x;
    gy = gy + g4 * x + g5 * z - g6 * y - g8 * y;
    gz = gz + g5 * y + two * g6 * z + g7 * x;
  }
  if (terms >= 16) {
    const Vec two(2.0f), three(3.0f), four(4.0f), six(6.0f), eight(8.0f);
    Vec xx = x * x, yy = y * y, zz = z * z, xy = x * y, xz = x * z, yz = y * z;
    Vec g9 = Vec(-kC33) * g(9), g10 = Vec(2.0f * kC32) * g(10), g11 = Vec(-kC31) * g(11), g12 = Vec(kC30) * g(12);
    Vec g13 = Vec(-kC31) * g(13), g14 = Vec(kC32) * g(14), g15 = Vec(-kC33) * g(15);
    gx = gx + six * g9 * xy + g10 * yz - two * g11 * xy - six * g12 * xz + g13 * (four * zz - three * xx - yy) + two * g14 * xz +
         three * g15 * (xx - yy);
    gy = gy + three * g9 * (xx - yy) + g10 * xz + g11 * (four * zz - xx - three * yy) - six * g12 * yz - two * g13 * xy -
         two * g14 * yz - six * g15 * xy;
    gz = gz + g10 * xy + eight * g11 * yz + three * g12 * (two * zz - xx - yy) + eight * g13 * xz + g14 * (xx - yy);
  }
  Vec along = gx * x + gy * y + gz * z;
  out[0] = (gx - along * x) * d.scale;
  out[1] = (gy - along * y) * d.scale;
  out[2] = (gz - along * z) * d.scale;
}

template <int channels_or_any>
SPLATPAINT_INLINE void shade_some(const Harmonics& h, float* colors, int64_t first, int count) {
  const int channels = channels_or_any ? channels_or_any : h.channels;
  alignas(64) float basis[kTermsMax][W];
  Directions d{0.0f, 0.0f, 0.0f, 0.0f};
  if (h.terms > 1) d = directions_to(h.means + first * 3, h.center, count);
  basis_at(d, h.terms, basis);
  for (int i = 0; i < count; ++i) {
    if (h.radii[first + i] <= 0) continue;
    const float* sh = h.sh + (first + i) * h.terms * channels;
    float* color = colors + (first + i) * channels;
    for (int c = 0; c < channels; ++c) {
      float sum = h.rgb ? 0.5f : 0.0f;
      for (int term = 0; term < h.terms; ++term) sum += basis[term][i] * sh[term * channels + c];
      color[c] = h.rgb && sum < 0.0f ? 0.0f : sum;
    }
  }
}

void shade(const Harmonics& h, float* colors, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += W) {
    int count = end - first < W ? int(end - first) : W;
    if (h.channels == 3)
      shade_some<3>(h, colors, first, count);
    else
      shade_some<0>(h, colors, first, count);
  }
}

template <int channels_or_any>
SPLATPAINT_INLINE void shade_backward_some(const Harmonics& h, const float* colors, const float* colors_grad, float* sh_grad,
                                           float* means_grad, int64_t first, int count) {
  const int channels = channels_or_any ? channels_or_any : h.channels;
  alignas(64) float basis[kTermsMax][W], basis_grad[kTermsMax][W];
  Directions d{0.0f, 0.0f, 0.0f, 0.0f};
  if (h.terms > 1) d = directions_to(h.means + first * 3, h.center, count);
  basis_at(d, h.terms, basis);
  for (int term = 0; term < h.terms; ++term) Vec(0.0f).store(basis_grad[term]);
  for (int i = 0; i < count; ++i) {
    int64_t splat = first + i;
    if (h.radii[splat] <= 0) continue;
    const float* sh = h.sh + splat * h.terms * channels;
    for (int c = 0; c < channels; ++c) {
      float g = colors_grad[splat * channels + c];
      if (h.rgb && colors[splat * channels + c] <= 0.0f) continue;
      for (int term = 0; term < h.terms; ++term) {
        if (sh_grad) sh_grad[(splat * h.terms + term) * channels + c] += basis[term][i] * g;
        basis_grad[term][i] += sh[term * channels + c] * g;
      }
    }
  }
  if (!means_grad || h.terms == 1) return;
  Vec mean_grad[3];
  basis_backward(d, h.terms, basis_grad, mean_grad);
  for (Vec& component : mean_grad) {
    alignas(64) float lanes[W];
    component.store(lanes);
    int axis = int(&component - mean_grad);
    for (int i = 0; i < count; ++i)
      if (h.radii[first + i] > 0) means_grad[(first + i) * 3 + axis] += lanes[i];
  }
}

void shade_backward(const Harmonics& h, const float* colors, const float* colors_grad, float* sh_grad, float* means_grad, int64_t begin,
                    int64_t end) {
  for (int64_t first = begin; first < end; first += W) {
    int count = end - first < W ? int(end - first) : W;
    if (h.channels == 3)
      shade_backward_some<3>(h, colors, colors_grad, sh_grad, means_grad, first, count);
    else
      shade_backward_some<0>(h, colors, colors_grad, sh_grad, means_grad, first, count);
  }
}

}  // namespace splatpaint::SPLATPAINT_TARGET
