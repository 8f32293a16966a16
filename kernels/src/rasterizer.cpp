#include "rasterizer.hpp"

#include <memory>

#include "parallel.hpp"
#include "scratch.hpp"

namespace splatpaint {

namespace {

constexpr int64_t kChunk = 4096;  // splats per work item

template <class Body>
void for_chunks(int64_t count, int threads, const Body& body) {
  parallel_for(int((count + kChunk - 1) / kChunk), threads, [&](int chunk, int) {
    int64_t begin = chunk * kChunk, end = begin + kChunk;
    body(begin, end < count ? end : count);
  });
}

}  // namespace

void project(const Target& target, const Gaussians& g, const Camera& camera, const Limits& limits, const Projection& out, int threads) {
  for_chunks(g.count, threads, [&](int64_t begin, int64_t end) { target.project(g, camera, limits, out, begin, end); });
}

void project_backward(const Target& target, const Gaussians& g, const Camera& camera, const Limits& limits, const int32_t* radii,
                      const ProjectionGradient& in, const GaussiansGradient& out, int threads) {
  for_chunks(g.count, threads,
             [&](int64_t begin, int64_t end) { target.project_backward(g, camera, limits, radii, in, out, begin, end); });
}

void shade(const Target& target, const Harmonics& h, float* colors, int threads) {
  for_chunks(h.count, threads, [&](int64_t begin, int64_t end) { target.shade(h, colors, begin, end); });
}

void shade_backward(const Target& target, const Harmonics& h, const float* colors, const float* colors_grad, float* sh_grad,
                    float* means_grad, int threads) {
  for_chunks(h.count, threads, [&](int64_t begin, int64_t end) {
    target.shade_backward(h, colors, colors_grad, sh_grad, means_grad, begin, end);
  });
}

void composite(const Target& target, const Records& records, const Lists& lists, const Limits& limits, const Canvas& canvas, int threads) {
  const Scratch scratch(composite_scratch(records.channels), threads);
  parallel_for(tiles_across(canvas.width) * tiles_across(canvas.height), threads, [&](int tile, int thread) {
    target.composite(records, lists, limits, canvas, tile, scratch.of(thread));
  });
}

namespace {

// Converts the moments of a splat, weighted by d loss / d ln alpha and taken in the coordinates where its ellipse is a circle, to
// gradients of its center, covariance and peak. With w = S d (S the shape's matrix, d the offset in pixels) and Q = 2 ln2 S^T S the inverse covariance:
// the center's is the sum of Q d = 2 ln2 S^T w, the covariance's half the sum of (Q d)(Q d)^T. Neither needs an inverse.
void geometry_gradient(const float* record, const float* m, int64_t splat, const RecordsGradient& out) {
  const float ln2 = 0.69314718f, a = record[2], b = record[3], e = record[4];
  out.means2d[splat * 2] = 2.0f * ln2 * (a * m[1] + e * m[2]);
  out.means2d[splat * 2 + 1] = 2.0f * ln2 * b * m[1];
  const float au = a * m[3] + e * m[4], av = a * m[4] + e * m[5];
  float* shape = out.shapes + splat * 4;
  shape[0] = 2.0f * ln2 * ln2 * (a * au + e * av);
  shape[1] = 4.0f * ln2 * ln2 * b * au;  // xy stands twice in the matrix
  shape[2] = 2.0f * ln2 * ln2 * b * b * m[3];
  shape[3] = m[0];
}

void no_geometry_gradient(int64_t splat, const RecordsGradient& out) {
  out.means2d[splat * 2] = out.means2d[splat * 2 + 1] = out.depths[splat] = 0.0f;
  for (int i = 0; i < 4; ++i) out.shapes[splat * 4 + i] = 0.0f;
}

template <int size_or_any>
void sum_partials(const float* partial, const float* end, int any_size, float* total) {
  const int size = size_or_any ? size_or_any : any_size;
  for (int i = 0; i < size; ++i) total[i] = 0.0f;
  for (; partial < end; partial += size)
    for (int i = 0; i < size; ++i) total[i] += partial[i];
}

}  // namespace

void composite_backward(const Target& target, const Records& records, const Lists& lists, const Limits& limits, const CanvasGradient& g,
                        const int32_t* first_slots, int64_t count, const RecordsGradient& out, int threads) {
  const Scratch scratch(composite_backward_scratch(records.channels), threads);
  parallel_for(tiles_across(g.width) * tiles_across(g.height), threads, [&](int tile, int thread) {
    target.composite_backward(records, lists, limits, g, tile, scratch.of(thread));
  });
  // The partial sums of a splat are added in the order of its tiles, so the result does not depend on the threads.
  const int size = partial_size(records, g), moments = g.geometry ? 6 : 0, paints = g.color_grad ? records.channels : 0;
  for_chunks(count, threads, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<float[]> total(new float[size]);
    for (int64_t splat = begin; splat < end; ++splat) {
      if (out.paint && !out.add_paint)
        for (int c = 0; c < records.channels; ++c) out.paint[splat * records.channels + c] = 0.0f;
      if (g.geometry) no_geometry_gradient(splat, out);
      if (first_slots[splat] == first_slots[splat + 1]) continue;
      const float* begin_partial = g.partials + int64_t(first_slots[splat]) * size;
      const float* end_partial = g.partials + int64_t(first_slots[splat + 1]) * size;
      switch (size) {
        case 4: sum_partials<4>(begin_partial, end_partial, size, total.get()); break;
        case 12: sum_partials<12>(begin_partial, end_partial, size, total.get()); break;
        default: sum_partials<0>(begin_partial, end_partial, size, total.get());
      }
      const float* record = records.data + splat * records.stride;
      if (g.geometry) geometry_gradient(record, total.get(), splat, out);
      if (g.geometry && g.depth_grad) {
        const float inverse_depth = record[kRecordPaint + records.channels];
        out.depths[splat] = -inverse_depth * inverse_depth * total[moments + paints];
      }
      if (out.paint)
        for (int c = 0; c < paints; ++c) out.paint[splat * records.channels + c] += total[moments + c];
    }
  });
}

}  // namespace splatpaint
