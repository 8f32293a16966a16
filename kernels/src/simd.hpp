// One vector of floats per instruction set, so that everything above is written once. `Vec::width` divides 16.
// Only intrinsics and builtins here: an inline function of the standard library, compiled for AVX-512 in one file, could be the copy
// that the linker keeps for all files.
#pragma once

#include <stdint.h>

#if defined(SPLATPAINT_AVX512) || defined(SPLATPAINT_AVX2)
#include <immintrin.h>
#elif defined(SPLATPAINT_NEON)
#include <arm_neon.h>
#endif

#define SPLATPAINT_INLINE inline __attribute__((always_inline))

namespace splatpaint::SPLATPAINT_TARGET {

// Beside arithmetic: reciprocal(x) to 1e-6 relative or better; scale_by_power(x, n), x * 2^n for integral n; store_sums(a, b, c, d),
// the four sums over lanes; negative_where(m, x), -|x| there and x elsewhere; store_ints, rounded towards zero.
#if defined(SPLATPAINT_AVX512)

struct Vec {
  static constexpr int width = 16;
  __m512 v;
  SPLATPAINT_INLINE Vec() = default;
  SPLATPAINT_INLINE Vec(__m512 x) : v(x) {}
  SPLATPAINT_INLINE Vec(float x) : v(_mm512_set1_ps(x)) {}
  static SPLATPAINT_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
  SPLATPAINT_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
};
using Mask = __mmask16;

SPLATPAINT_INLINE Vec operator+(Vec a, Vec b) { return _mm512_add_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec operator-(Vec a, Vec b) { return _mm512_sub_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec operator*(Vec a, Vec b) { return _mm512_mul_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec operator/(Vec a, Vec b) { return _mm512_div_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
SPLATPAINT_INLINE Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a.v, b.v, c.v); }
SPLATPAINT_INLINE Vec fms(Vec a, Vec b, Vec c) { return _mm512_fmsub_ps(a.v, b.v, c.v); }
SPLATPAINT_INLINE Vec min(Vec a, Vec b) { return _mm512_min_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec max(Vec a, Vec b) { return _mm512_max_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec sqrt(Vec a) { return _mm512_sqrt_ps(a.v); }
SPLATPAINT_INLINE Vec floor(Vec a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
SPLATPAINT_INLINE Vec round(Vec a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SPLATPAINT_INLINE Mask greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
SPLATPAINT_INLINE Mask at_least(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ); }
SPLATPAINT_INLINE Mask greater_where(Mask m, Vec a, Vec b) { return _mm512_mask_cmp_ps_mask(m, a.v, b.v, _CMP_GT_OQ); }
SPLATPAINT_INLINE Mask at_least_where(Mask m, Vec a, Vec b) { return _mm512_mask_cmp_ps_mask(m, a.v, b.v, _CMP_GE_OQ); }
SPLATPAINT_INLINE Mask both(Mask a, Mask b) { return _kand_mask16(a, b); }
SPLATPAINT_INLINE Mask but_not(Mask a, Mask b) { return _kandn_mask16(b, a); }
SPLATPAINT_INLINE bool any(Mask a) { return a != 0; }
SPLATPAINT_INLINE Vec select(Mask m, Vec a, Vec b) { return _mm512_mask_mov_ps(b.v, m, a.v); }
SPLATPAINT_INLINE Vec zero_unless(Mask m, Vec a) { return _mm512_maskz_mov_ps(m, a.v); }
SPLATPAINT_INLINE Vec negative_where(Mask m, Vec a) { return _mm512_mask_or_ps(a.v, m, a.v, _mm512_set1_ps(-0.0f)); }
SPLATPAINT_INLINE void store_ints(Vec a, int32_t* p) { _mm512_storeu_si512(p, _mm512_cvttps_epi32(a.v)); }
SPLATPAINT_INLINE Vec scale_by_power(Vec x, Vec n) { return _mm512_scalef_ps(x.v, n.v); }
SPLATPAINT_INLINE Vec reciprocal(Vec x) {
  __m512 r = _mm512_rcp14_ps(x.v);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(x.v, r, _mm512_set1_ps(2.0f)));
}
SPLATPAINT_INLINE __m256 halved(Vec a) { return _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1)); }
SPLATPAINT_INLINE void store_sums(Vec a, Vec b, Vec c, Vec d, float* out) {
  __m256 p = halved(a), q = halved(b), r = halved(c), s = halved(d);
  __m256 pq = _mm256_add_ps(_mm256_unpacklo_ps(p, q), _mm256_unpackhi_ps(p, q));
  __m256 rs = _mm256_add_ps(_mm256_unpacklo_ps(r, s), _mm256_unpackhi_ps(r, s));
  __m256 all = _mm256_add_ps(_mm256_shuffle_ps(pq, rs, 0x44), _mm256_shuffle_ps(pq, rs, 0xee));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

#elif defined(SPLATPAINT_AVX2)

struct Vec {
  static constexpr int width = 8;
  __m256 v;
  SPLATPAINT_INLINE Vec() = default;
  SPLATPAINT_INLINE Vec(__m256 x) : v(x) {}
  SPLATPAINT_INLINE Vec(float x) : v(_mm256_set1_ps(x)) {}
  static SPLATPAINT_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
  SPLATPAINT_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
};
struct Mask {
  __m256 v;
};

SPLATPAINT_INLINE Vec operator+(Vec a, Vec b) { return _mm256_add_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec operator-(Vec a, Vec b) { return _mm256_sub_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec operator*(Vec a, Vec b) { return _mm256_mul_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec operator/(Vec a, Vec b) { return _mm256_div_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
SPLATPAINT_INLINE Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a.v, b.v, c.v); }
SPLATPAINT_INLINE Vec fms(Vec a, Vec b, Vec c) { return _mm256_fmsub_ps(a.v, b.v, c.v); }
SPLATPAINT_INLINE Vec min(Vec a, Vec b) { return _mm256_min_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec max(Vec a, Vec b) { return _mm256_max_ps(a.v, b.v); }
SPLATPAINT_INLINE Vec sqrt(Vec a) { return _mm256_sqrt_ps(a.v); }
SPLATPAINT_INLINE Vec floor(Vec a) { return _mm256_floor_ps(a.v); }
SPLATPAINT_INLINE Vec round(Vec a) { return _mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SPLATPAINT_INLINE Mask greater(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
SPLATPAINT_INLINE Mask at_least(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
SPLATPAINT_INLINE Mask both(Mask a, Mask b) { return {_mm256_and_ps(a.v, b.v)}; }
SPLATPAINT_INLINE Mask greater_where(Mask m, Vec a, Vec b) { return both(m, greater(a, b)); }
SPLATPAINT_INLINE Mask at_least_where(Mask m, Vec a, Vec b) { return both(m, at_least(a, b)); }
SPLATPAINT_INLINE Mask but_not(Mask a, Mask b) { return {_mm256_andnot_ps(b.v, a.v)}; }
SPLATPAINT_INLINE bool any(Mask a) { return _mm256_movemask_ps(a.v) != 0; }
SPLATPAINT_INLINE Vec select(Mask m, Vec a, Vec b) { return _mm256_blendv_ps(b.v, a.v, m.v); }
SPLATPAINT_INLINE Vec zero_unless(Mask m, Vec a) { return _mm256_and_ps(m.v, a.v); }
SPLATPAINT_INLINE Vec negative_where(Mask m, Vec a) { return _mm256_or_ps(a.v, _mm256_and_ps(m.v, _mm256_set1_ps(-0.0f))); }
SPLATPAINT_INLINE void store_ints(Vec a, int32_t* p) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_cvttps_epi32(a.v)); }
SPLATPAINT_INLINE Vec scale_by_power(Vec x, Vec n) {
  __m256i shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(n.v), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x.v), shifted));
}
SPLATPAINT_INLINE Vec reciprocal(Vec x) {
  __m256 r = _mm256_rcp_ps(x.v);
  return _mm256_mul_ps(r, _mm256_fnmadd_ps(x.v, r, _mm256_set1_ps(2.0f)));
}
SPLATPAINT_INLINE void store_sums(Vec a, Vec b, Vec c, Vec d, float* out) {
  __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v));
  __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c.v, d.v), _mm256_unpackhi_ps(c.v, d.v));
  __m256 all = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

#elif defined(SPLATPAINT_NEON)

struct Vec {
  static constexpr int width = 4;
  float32x4_t v;
  SPLATPAINT_INLINE Vec() = default;
  SPLATPAINT_INLINE Vec(float32x4_t x) : v(x) {}
  SPLATPAINT_INLINE Vec(float x) : v(vdupq_n_f32(x)) {}
  static SPLATPAINT_INLINE Vec load(const float* p) { return vld1q_f32(p); }
  SPLATPAINT_INLINE void store(float* p) const { vst1q_f32(p, v); }
};
struct Mask {
  uint32x4_t v;
};

SPLATPAINT_INLINE Vec operator+(Vec a, Vec b) { return vaddq_f32(a.v, b.v); }
SPLATPAINT_INLINE Vec operator-(Vec a, Vec b) { return vsubq_f32(a.v, b.v); }
SPLATPAINT_INLINE Vec operator*(Vec a, Vec b) { return vmulq_f32(a.v, b.v); }
SPLATPAINT_INLINE Vec operator/(Vec a, Vec b) { return vdivq_f32(a.v, b.v); }
SPLATPAINT_INLINE Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c.v, a.v, b.v); }
SPLATPAINT_INLINE Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f32(c.v, a.v, b.v); }
SPLATPAINT_INLINE Vec fms(Vec a, Vec b, Vec c) { return vnegq_f32(vfmsq_f32(c.v, a.v, b.v)); }
SPLATPAINT_INLINE Vec min(Vec a, Vec b) { return vminq_f32(a.v, b.v); }
SPLATPAINT_INLINE Vec max(Vec a, Vec b) { return vmaxq_f32(a.v, b.v); }
SPLATPAINT_INLINE Vec sqrt(Vec a) { return vsqrtq_f32(a.v); }
SPLATPAINT_INLINE Vec floor(Vec a) { return vrndmq_f32(a.v); }
SPLATPAINT_INLINE Vec round(Vec a) { return vrndnq_f32(a.v); }
SPLATPAINT_INLINE Mask greater(Vec a, Vec b) { return {vcgtq_f32(a.v, b.v)}; }
SPLATPAINT_INLINE Mask at_least(Vec a, Vec b) { return {vcgeq_f32(a.v, b.v)}; }
SPLATPAINT_INLINE Mask both(Mask a, Mask b) { return {vandq_u32(a.v, b.v)}; }
SPLATPAINT_INLINE Mask greater_where(Mask m, Vec a, Vec b) { return both(m, greater(a, b)); }
SPLATPAINT_INLINE Mask at_least_where(Mask m, Vec a, Vec b) { return both(m, at_least(a, b)); }
SPLATPAINT_INLINE Mask but_not(Mask a, Mask b) { return {vbicq_u32(a.v, b.v)}; }
SPLATPAINT_INLINE bool any(Mask a) { return vmaxvq_u32(a.v) != 0; }
SPLATPAINT_INLINE Vec select(Mask m, Vec a, Vec b) { return vbslq_f32(m.v, a.v, b.v); }
SPLATPAINT_INLINE Vec zero_unless(Mask m, Vec a) { return vreinterpretq_f32_u32(vandq_u32(m.v, vreinterpretq_u32_f32(a.v))); }
SPLATPAINT_INLINE Vec negative_where(Mask m, Vec a) {
  return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a.v), vandq_u32(m.v, vdupq_n_u32(0x80000000u))));
}
SPLATPAINT_INLINE void store_ints(Vec a, int32_t* p) { vst1q_s32(p, vcvtq_s32_f32(a.v)); }
SPLATPAINT_INLINE Vec scale_by_power(Vec x, Vec n) {
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x.v), vshlq_n_s32(vcvtnq_s32_f32(n.v), 23)));
}
SPLATPAINT_INLINE Vec reciprocal(Vec x) { return vdivq_f32(vdupq_n_f32(1.0f), x.v); }
SPLATPAINT_INLINE void store_sums(Vec a, Vec b, Vec c, Vec d, float* out) {
  vst1q_f32(out, vpaddq_f32(vpaddq_f32(a.v, b.v), vpaddq_f32(c.v, d.v)));
}

#else

struct Vec {
  static constexpr int width = 1;
  float v;
  SPLATPAINT_INLINE Vec() = default;
  SPLATPAINT_INLINE Vec(float x) : v(x) {}
  static SPLATPAINT_INLINE Vec load(const float* p) { return *p; }
  SPLATPAINT_INLINE void store(float* p) const { *p = v; }
};
using Mask = bool;

SPLATPAINT_INLINE Vec operator+(Vec a, Vec b) { return a.v + b.v; }
SPLATPAINT_INLINE Vec operator-(Vec a, Vec b) { return a.v - b.v; }
SPLATPAINT_INLINE Vec operator*(Vec a, Vec b) { return a.v * b.v; }
SPLATPAINT_INLINE Vec operator/(Vec a, Vec b) { return a.v / b.v; }
SPLATPAINT_INLINE Vec fma(Vec a, Vec b, Vec c) { return a.v * b.v + c.v; }
SPLATPAINT_INLINE Vec fnma(Vec a, Vec b, Vec c) { return c.v - a.v * b.v; }
SPLATPAINT_INLINE Vec fms(Vec a, Vec b, Vec c) { return a.v * b.v - c.v; }
SPLATPAINT_INLINE Vec min(Vec a, Vec b) { return a.v < b.v ? a.v : b.v; }
SPLATPAINT_INLINE Vec max(Vec a, Vec b) { return a.v > b.v ? a.v : b.v; }
SPLATPAINT_INLINE Vec sqrt(Vec a) { return __builtin_sqrtf(a.v); }
SPLATPAINT_INLINE Vec floor(Vec a) { return __builtin_floorf(a.v); }
// Adding 1.5 * 2^23 leaves no bits for a fraction. Enough for the exponents that are rounded here.
SPLATPAINT_INLINE Vec round(Vec a) { return (a.v + 12582912.0f) - 12582912.0f; }
SPLATPAINT_INLINE Mask greater(Vec a, Vec b) { return a.v > b.v; }
SPLATPAINT_INLINE Mask at_least(Vec a, Vec b) { return a.v >= b.v; }
SPLATPAINT_INLINE Mask both(Mask a, Mask b) { return a & b; }
SPLATPAINT_INLINE Mask greater_where(Mask m, Vec a, Vec b) { return m & (a.v > b.v); }
SPLATPAINT_INLINE Mask at_least_where(Mask m, Vec a, Vec b) { return m & (a.v >= b.v); }
SPLATPAINT_INLINE Mask but_not(Mask a, Mask b) { return a & !b; }
SPLATPAINT_INLINE bool any(Mask a) { return a; }
SPLATPAINT_INLINE Vec select(Mask m, Vec a, Vec b) { return m ? a : b; }
SPLATPAINT_INLINE Vec zero_unless(Mask m, Vec a) { return m ? a : Vec(0.0f); }
SPLATPAINT_INLINE Vec negative_where(Mask m, Vec a) { return m ? -__builtin_fabsf(a.v) : a.v; }
SPLATPAINT_INLINE void store_ints(Vec a, int32_t* p) { *p = int32_t(a.v); }
SPLATPAINT_INLINE Vec scale_by_power(Vec x, Vec n) {
  int32_t bits;
  __builtin_memcpy(&bits, &x.v, 4);
  bits = int32_t(uint32_t(bits) + (uint32_t(int32_t(n.v)) << 23));
  __builtin_memcpy(&x.v, &bits, 4);
  return x;
}
SPLATPAINT_INLINE Vec reciprocal(Vec x) { return 1.0f / x.v; }
SPLATPAINT_INLINE void store_sums(Vec a, Vec b, Vec c, Vec d, float* out) {
  out[0] = a.v;
  out[1] = b.v;
  out[2] = c.v;
  out[3] = d.v;
}

#endif

SPLATPAINT_INLINE Vec operator-(Vec a) { return Vec(0.0f) - a; }

#if defined(SPLATPAINT_AVX512) || defined(SPLATPAINT_AVX2)

// power_of_step: 2^(i / steps). rest_of_step: (2^f - 1) / f for f within half a step. The table has i taken off the exponent's
// place, where shifting the index adds it again.
#if defined(SPLATPAINT_AVX512)
constexpr int kStepBits = 4;
alignas(64) constexpr uint32_t kPowers[16] = {
    0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
    0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d};
SPLATPAINT_INLINE Vec power_of_step(Vec shifted) {
  const __m512i index = _mm512_castps_si512(shifted.v);
  const __m512i power = _mm512_permutexvar_epi32(index, _mm512_load_si512(kPowers));
  return _mm512_castsi512_ps(_mm512_add_epi32(power, _mm512_slli_epi32(index, 23 - kStepBits)));
}
SPLATPAINT_INLINE Vec rest_of_step(Vec f) { return fma(Vec(0.2402266412973404f), f, Vec(0.6931877136230469f)); }
#else
constexpr int kStepBits = 3;
alignas(64) constexpr uint32_t kPowers[8] = {
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
SPLATPAINT_INLINE Vec power_of_step(Vec shifted) {
  const __m256i index = _mm256_castps_si256(shifted.v);
  const __m256i power = _mm256_permutevar8x32_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(kPowers)), index);
  return _mm256_castsi256_ps(_mm256_add_epi32(power, _mm256_slli_epi32(index, 23 - kStepBits)));
}
SPLATPAINT_INLINE Vec rest_of_step(Vec f) {
  return fma(fma(Vec(0.0554962232708931f), f, Vec(0.2402576357126236f)), f, Vec(0.6931472420692444f));
}
#endif

// 2^x to 5e-7 relative, for x in [-126, 126]: a table of powers for the nearest step, a polynomial for the rest. Adding
// 1.5 * 2^23 / steps rounds to steps and leaves their count in the low bits.
SPLATPAINT_INLINE Vec exp2(Vec x) {
  const Vec shift(12582912.0f / (1 << kStepBits)), shifted = x + shift, f = x - (shifted - shift);
  const Vec p = rest_of_step(f);
  const Vec power = power_of_step(shifted);
  return fma(power * f, p, power);
}

#else

// 2^x to 1e-7 relative, for x in [-126, 126].
SPLATPAINT_INLINE Vec exp2(Vec x) {
  Vec n = round(x);
  Vec f = x - n;  // in [-.5, .5], where the polynomial was fitted for relative error
  Vec p = fma(Vec(0.001326472614891827f), f, Vec(0.009671512991189957f));
  p = fma(p, f, Vec(0.05550733581185341f));
  p = fma(p, f, Vec(0.24022242426872253f));
  p = fma(p, f, Vec(0.6931470036506653f));
  p = fma(p, f, Vec(1.0f));
  return scale_by_power(p, n);
}

#endif

// This order of operands propagates NaN, so that invalid splats are detected.
SPLATPAINT_INLINE Vec clamp(Vec x, Vec low, Vec high) { return min(high, max(low, x)); }

// e^x; beyond e^-87 and e^87 it stays there.
SPLATPAINT_INLINE Vec exp(Vec x) { return exp2(clamp(x * Vec(1.44269504f), Vec(-126.0f), Vec(126.0f))); }

}  // namespace splatpaint::SPLATPAINT_TARGET
