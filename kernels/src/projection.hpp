// From Gaussians in the world to ellipses in the image, and back for gradients; a vector of splats at a time.
#pragma once

#include "simd.hpp"
#include "splatpaint/kernels.hpp"

namespace splatpaint::SPLATPAINT_TARGET {

constexpr int W = Vec::width;
constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.69314718f;
constexpr float kFrustumMargin = 0.3f;  // of the half field of view: the affine approximation explodes farther out (as in 3DGS)
constexpr float kQuatNormMin = 1e-12f;

// Rows of `columns` floats become `columns` vectors. Lanes beyond `count` repeat the last row.
template <int columns>
SPLATPAINT_INLINE void load_rows(const float* rows, int count, Vec out[columns]) {
  alignas(64) float lanes[columns][W];
  for (int i = 0; i < W; ++i) {
    const float* row = rows + (i < count ? i : count - 1) * columns;
    for (int c = 0; c < columns; ++c) lanes[c][i] = row[c];
  }
  for (int c = 0; c < columns; ++c) out[c] = Vec::load(lanes[c]);
}

template <int columns>
SPLATPAINT_INLINE void store_rows(const Vec in[columns], int count, float* rows) {
  alignas(64) float lanes[columns][W];
  for (int c = 0; c < columns; ++c) in[c].store(lanes[c]);
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < columns; ++c) rows[i * columns + c] = lanes[c][i];
}

template <int columns>
SPLATPAINT_INLINE void add_rows(const Vec in[columns], int count, float* rows) {
  alignas(64) float lanes[columns][W];
  for (int c = 0; c < columns; ++c) in[c].store(lanes[c]);
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < columns; ++c) rows[i * columns + c] += lanes[c][i];
}

// Intermediate values of projection that forward and backward share.
struct Footprint {
  Vec q[4], q_scale;         // unit quaternion, 1 / length of the given one
  Vec scale[3];              // standard deviations
  Vec axes[3][3];            // cam_from_splat rotation
  Vec root[3][3];            // axes times scale: a square root of the covariance in camera axes
  Vec x, y, z, rz;           // center in camera axes, 1 / z
  Vec slope_x, slope_y;      // x / z and y / z, clamped to the image and a margin
  Mask free_x, free_y;       // where they were not clamped
  Vec jx, jxz, jy, jyz;      // Jacobian of the projection
  Vec row_x[3], row_y[3];    // Jacobian times root
  Vec xx, xy, yy, det;       // blurred covariance in square pixels
};

SPLATPAINT_INLINE void rotation_of(const Vec q[4], Vec r[3][3]) {
  const Vec one(1.0f), two(2.0f);
  Vec w = q[0], x = q[1], y = q[2], z = q[3];
  r[0][0] = one - two * (y * y + z * z);
  r[0][1] = two * (x * y - w * z);
  r[0][2] = two * (x * z + w * y);
  r[1][0] = two * (x * y + w * z);
  r[1][1] = one - two * (x * x + z * z);
  r[1][2] = two * (y * z - w * x);
  r[2][0] = two * (x * z - w * y);
  r[2][1] = two * (y * z + w * x);
  r[2][2] = one - two * (x * x + y * y);
}

SPLATPAINT_INLINE Footprint footprint(const Gaussians& g, const Camera& camera, const Limits& limits, int64_t first, int count) {
  Footprint f;
  Vec mean[3];
  load_rows<3>(g.means + first * 3, count, mean);
  const float* r = camera.rotation;
  f.x = fma(Vec(r[0]), mean[0], fma(Vec(r[1]), mean[1], fma(Vec(r[2]), mean[2], Vec(camera.translation[0]))));
  f.y = fma(Vec(r[3]), mean[0], fma(Vec(r[4]), mean[1], fma(Vec(r[5]), mean[2], Vec(camera.translation[1]))));
  f.z = fma(Vec(r[6]), mean[0], fma(Vec(r[7]), mean[1], fma(Vec(r[8]), mean[2], Vec(camera.translation[2]))));
  f.rz = Vec(1.0f) / f.z;

  load_rows<4>(g.quats + first * 4, count, f.q);
  Vec norm = sqrt(f.q[0] * f.q[0] + f.q[1] * f.q[1] + f.q[2] * f.q[2] + f.q[3] * f.q[3]);
  f.q_scale = Vec(1.0f) / max(norm, Vec(kQuatNormMin));
  for (Vec& component : f.q) component = component * f.q_scale;
  Vec local[3][3];
  rotation_of(f.q, local);
  load_rows<3>(g.log_scales + first * 3, count, f.scale);
  for (Vec& scale : f.scale) scale = exp(scale);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      f.axes[i][j] = Vec(r[3 * i]) * local[0][j] + Vec(r[3 * i + 1]) * local[1][j] + Vec(r[3 * i + 2]) * local[2][j];
      f.root[i][j] = f.axes[i][j] * f.scale[j];
    }

  float margin_x = kFrustumMargin * 0.5f * camera.width / camera.fx, margin_y = kFrustumMargin * 0.5f * camera.height / camera.fy;
  Vec low_x(-camera.cx / camera.fx - margin_x), high_x((camera.width - camera.cx) / camera.fx + margin_x);
  Vec low_y(-camera.cy / camera.fy - margin_y), high_y((camera.height - camera.cy) / camera.fy + margin_y);
  Vec raw_x = f.x * f.rz, raw_y = f.y * f.rz;
  f.slope_x = clamp(raw_x, low_x, high_x);
  f.slope_y = clamp(raw_y, low_y, high_y);
  f.free_x = both(at_least(raw_x, low_x), at_least(high_x, raw_x));
  f.free_y = both(at_least(raw_y, low_y), at_least(high_y, raw_y));
  f.jx = Vec(camera.fx) * f.rz;
  f.jy = Vec(camera.fy) * f.rz;
  f.jxz = -(f.jx * f.slope_x);
  f.jyz = -(f.jy * f.slope_y);
  for (int j = 0; j < 3; ++j) {
    f.row_x[j] = f.jx * f.root[0][j] + f.jxz * f.root[2][j];
    f.row_y[j] = f.jy * f.root[1][j] + f.jyz * f.root[2][j];
  }
  Vec xx = f.row_x[0] * f.row_x[0] + f.row_x[1] * f.row_x[1] + f.row_x[2] * f.row_x[2];
  Vec yy = f.row_y[0] * f.row_y[0] + f.row_y[1] * f.row_y[1] + f.row_y[2] * f.row_y[2];
  f.xy = f.row_x[0] * f.row_y[0] + f.row_x[1] * f.row_y[1] + f.row_x[2] * f.row_y[2];
  f.xx = xx + Vec(limits.blur_px);
  f.yy = yy + Vec(limits.blur_px);
  // The determinant before blur is the sum of the squared 2 x 2 minors (Cauchy-Binet). As xx * yy - xy * xy it would cancel for
  // long thin splats.
  Vec a = f.row_x[0] * f.row_y[1] - f.row_x[1] * f.row_y[0];
  Vec b = f.row_x[0] * f.row_y[2] - f.row_x[2] * f.row_y[0];
  Vec c = f.row_x[1] * f.row_y[2] - f.row_x[2] * f.row_y[1];
  f.det = a * a + b * b + c * c + Vec(limits.blur_px) * (xx + yy + Vec(limits.blur_px));
  return f;
}

SPLATPAINT_INLINE void project_some(const Gaussians& g, const Camera& camera, const Limits& limits, const Projection& out,
                                    int64_t first, int count) {
  Footprint f = footprint(g, camera, limits, first, count);
  Vec u = fma(f.jx, f.x, Vec(camera.cx)), v = fma(f.jy, f.y, Vec(camera.cy));
  alignas(64) float peaks[W];
  {
    Vec logit;
    load_rows<1>(g.logit_opacities + first, count, &logit);
    // log2(sigmoid(x)) = -log2(1 + e^-x)
    (Vec(1.0f) + exp(-logit)).store(peaks);
    for (float& peak : peaks) peak = -__builtin_log2f(peak);
  }
  Vec peak = Vec::load(peaks);
  Vec above = peak - Vec(__builtin_log2f(limits.alpha_min));
  // Half of the bounding box of all pixels with alpha >= alpha_min, however the ellipse is turned (StopThePop, app. B.2).
  Vec reach = sqrt(max(above, Vec(0.0f)) * Vec(2.0f * kLn2));
  Vec half_x = reach * sqrt(f.xx), half_y = reach * sqrt(f.yy);
  Vec radius_x = -floor(-half_x), radius_y = -floor(-half_y);
  const Vec huge(1e9f);
  Mask drawn = both(at_least(f.z, Vec(limits.near_plane)), at_least(above, Vec(0.0f)));
  drawn = both(drawn, both(greater(f.det, Vec(0.0f)), greater(Vec(3e38f), f.det)));
  drawn = both(drawn, both(greater(u + radius_x, Vec(0.0f)), greater(Vec(float(camera.width)), u - radius_x)));
  drawn = both(drawn, both(greater(v + radius_y, Vec(0.0f)), greater(Vec(float(camera.height)), v - radius_y)));
  Vec radius = zero_unless(drawn, min(huge, max(radius_x, radius_y)));

  // An upper bound with a margin for rounding; tiling.hpp finds the tiles exactly.
  Vec bound_x = fma(half_x, Vec(1.0001f), Vec(0.01f)), bound_y = fma(half_y, Vec(1.0001f), Vec(0.01f));
  const Vec per_tile(1.0f / kTileSide), zero(0.0f), one(1.0f);
  Vec last_column(float(tiles_across(camera.width) - 1)), last_row(float(tiles_across(camera.height) - 1));
  Vec columns = clamp(floor((u + bound_x) * per_tile), zero, last_column) - clamp(floor((u - bound_x) * per_tile), zero, last_column);
  Vec rows = clamp(floor((v + bound_y) * per_tile), zero, last_row) - clamp(floor((v - bound_y) * per_tile), zero, last_row);
  Vec tiles = zero_unless(drawn, (columns + one) * (rows + one));

  const Vec k(0.5f * kLog2E);
  Vec b = sqrt(k * f.xx / f.det);
  Vec center[2] = {zero_unless(drawn, u), zero_unless(drawn, v)};
  Vec shape[4] = {-(b * f.xy / f.xx), b, sqrt(k / f.xx), peak};
  store_rows<2>(center, count, out.means2d + first * 2);
  store_rows<4>(shape, count, out.shapes + first * 4);
  alignas(64) float depths[W], radii[W], bounds[W];
  f.z.store(depths);
  radius.store(radii);
  tiles.store(bounds);
  for (int i = 0; i < count; ++i) {
    out.depths[first + i] = depths[i];
    out.radii[first + i] = int32_t(radii[i]);
    out.tiles[first + i] = int32_t(bounds[i]);
  }
}

void project(const Gaussians& g, const Camera& camera, const Limits& limits, const Projection& out, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += W) project_some(g, camera, limits, out, first, end - first < W ? int(end - first) : W);
}

// Gradient by a quaternion: through the rotation matrix of the unit quaternion, then through the normalization.
SPLATPAINT_INLINE void rotation_backward(const Vec q[4], Vec q_scale, const Vec g[3][3], Vec out[4]) {
  const Vec two(2.0f);
  Vec w = q[0], x = q[1], y = q[2], z = q[3];
  Vec n[4];
  n[0] = two * (x * (g[2][1] - g[1][2]) + y * (g[0][2] - g[2][0]) + z * (g[1][0] - g[0][1]));
  n[1] = two * (y * (g[0][1] + g[1][0]) + z * (g[0][2] + g[2][0]) + w * (g[2][1] - g[1][2]) - two * x * (g[1][1] + g[2][2]));
  n[2] = two * (x * (g[0][1] + g[1][0]) + z * (g[1][2] + g[2][1]) + w * (g[0][2] - g[2][0]) - two * y * (g[0][0] + g[2][2]));
  n[3] = two * (x * (g[0][2] + g[2][0]) + y * (g[1][2] + g[2][1]) + w * (g[1][0] - g[0][1]) - two * z * (g[0][0] + g[1][1]));
  Vec along = n[0] * w + n[1] * x + n[2] * y + n[3] * z;
  for (int i = 0; i < 4; ++i) out[i] = (n[i] - along * q[i]) * q_scale;
}

SPLATPAINT_INLINE void project_backward_some(const Gaussians& g, const Camera& camera, const Limits& limits, const int32_t* radii,
                                             const ProjectionGradient& in, const GaussiansGradient& out, int64_t first, int count) {
  alignas(64) float seen[W];
  bool any_seen = false;
  for (int i = 0; i < W; ++i) {
    bool drawn = i < count && radii[first + i] > 0;
    seen[i] = drawn ? 1.0f : 0.0f;
    any_seen |= drawn;
  }
  if (!any_seen) return;
  Mask drawn = greater(Vec::load(seen), Vec(0.0f));
  Footprint f = footprint(g, camera, limits, first, count);

  Vec mean_grad[2] = {0.0f, 0.0f}, shape_grad[4], depth_grad(0.0f);
  if (in.means2d) load_rows<2>(in.means2d + first * 2, count, mean_grad);
  load_rows<4>(in.shapes + first * 4, count, shape_grad);
  if (in.depths) load_rows<1>(in.depths + first, count, &depth_grad);
  Vec logit;
  load_rows<1>(g.logit_opacities + first, count, &logit);
  // d ln sigmoid(x) / dx = sigmoid(-x)
  Vec logit_grad = zero_unless(drawn, shape_grad[3] / (Vec(1.0f) + exp(logit)));

  const Vec two(2.0f);
  Vec gx[3], gy[3], root_grad[3][3];
  Vec gjx(0.0f), gjxz(0.0f), gjy(0.0f), gjyz(0.0f);
  for (int j = 0; j < 3; ++j) {
    gx[j] = two * shape_grad[0] * f.row_x[j] + shape_grad[1] * f.row_y[j];
    gy[j] = shape_grad[1] * f.row_x[j] + two * shape_grad[2] * f.row_y[j];
    root_grad[0][j] = f.jx * gx[j];
    root_grad[1][j] = f.jy * gy[j];
    root_grad[2][j] = f.jxz * gx[j] + f.jyz * gy[j];
    gjx = fma(gx[j], f.root[0][j], gjx);
    gjxz = fma(gx[j], f.root[2][j], gjxz);
    gjy = fma(gy[j], f.root[1][j], gjy);
    gjyz = fma(gy[j], f.root[2][j], gjyz);
  }
  Vec cam_grad[3];
  // jx = fx / z, jxz = -jx * slope_x, u = jx * x + cx; a slope that was clamped does not move with x.
  Vec gx_jx = gjx - gjxz * f.slope_x, gy_jy = gjy - gjyz * f.slope_y;
  Vec g_slope_x = zero_unless(f.free_x, -(gjxz * f.jx)), g_slope_y = zero_unless(f.free_y, -(gjyz * f.jy));
  Vec g_jx = gx_jx + mean_grad[0] * f.x, g_jy = gy_jy + mean_grad[1] * f.y;
  cam_grad[0] = mean_grad[0] * f.jx + g_slope_x * f.rz;
  cam_grad[1] = mean_grad[1] * f.jy + g_slope_y * f.rz;
  cam_grad[2] = depth_grad - f.rz * (g_jx * f.jx + g_jy * f.jy + g_slope_x * f.slope_x + g_slope_y * f.slope_y);

  const float* r = camera.rotation;
  Vec world_grad[3], scale_grad[3], local_grad[3][3], quat_grad[4];
  for (int i = 0; i < 3; ++i)
    world_grad[i] = zero_unless(drawn, Vec(r[i]) * cam_grad[0] + Vec(r[3 + i]) * cam_grad[1] + Vec(r[6 + i]) * cam_grad[2]);
  for (int j = 0; j < 3; ++j) {
    scale_grad[j] = zero_unless(drawn, root_grad[0][j] * f.root[0][j] + root_grad[1][j] * f.root[1][j] + root_grad[2][j] * f.root[2][j]);
    for (int i = 0; i < 3; ++i)
      local_grad[i][j] = f.scale[j] * (Vec(r[i]) * root_grad[0][j] + Vec(r[3 + i]) * root_grad[1][j] + Vec(r[6 + i]) * root_grad[2][j]);
  }
  rotation_backward(f.q, f.q_scale, local_grad, quat_grad);
  for (Vec& component : quat_grad) component = zero_unless(drawn, component);

  add_rows<3>(world_grad, count, out.means + first * 3);
  add_rows<4>(quat_grad, count, out.quats + first * 4);
  add_rows<3>(scale_grad, count, out.log_scales + first * 3);
  add_rows<1>(&logit_grad, count, out.logit_opacities + first);
}

void project_backward(const Gaussians& g, const Camera& camera, const Limits& limits, const int32_t* radii, const ProjectionGradient& in,
                      const GaussiansGradient& out, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += W)
    project_backward_some(g, camera, limits, radii, in, out, first, end - first < W ? int(end - first) : W);
}

}  // namespace splatpaint::SPLATPAINT_TARGET
