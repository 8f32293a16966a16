// The steps of rendering one view, distributed over threads. Compiled for the baseline processor; the heavy work is in the targets.
// Every result is the same for any number of threads.
#pragma once

#include "splatpaint/kernels.hpp"

namespace splatpaint {

// Sizes: (n, stride), (n + 1), (tiles + 1), then `bound` each, where `bound` is the sum of Projection::tiles.
struct Binning {
  float* records;
  int32_t* first_slots;  // slots [first_slots[i], first_slots[i + 1]) are the tiles of splat i
  int32_t* offsets;      // list entries [offsets[t], offsets[t + 1]) are the splats of tile t
  int32_t* splats;       // by list entry
  uint64_t* blocks;      // by list entry
  int32_t* slots;        // by list entry
};

void project(const Target&, const Gaussians&, const Camera&, const Limits&, const Projection&, int threads);
void project_backward(const Target&, const Gaussians&, const Camera&, const Limits&, const int32_t* radii, const ProjectionGradient&,
                      const GaussiansGradient&, int threads);
void shade(const Target&, const Harmonics&, float* colors, int threads);
void shade_backward(const Target&, const Harmonics&, const float* colors, const float* colors_grad, float* sh_grad, float* means_grad,
                    int threads);
// Returns the number of list entries.
int64_t bin(const Target&, const Projection&, int64_t count, const float* paint, int channels, int stride, int64_t bound, const Limits&,
            int width, int height, const Binning&, int threads);
void composite(const Target&, const Records&, const Lists&, const Limits&, const Canvas&, int threads);

// Written for every splat, drawn or not. The three of the geometry may be null together; `paint` may be null, and is added to if
// `add_paint` is set.
struct RecordsGradient {
  float* means2d;
  float* shapes;  // see ProjectionGradient
  float* depths;
  float* paint;  // (n, c)
  bool add_paint;
};
void composite_backward(const Target&, const Records&, const Lists&, const Limits&, const CanvasGradient&, const int32_t* first_slots,
                        int64_t count, const RecordsGradient&, int threads);

}  // namespace splatpaint
