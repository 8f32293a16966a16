// Types and functions of the kernels, as plain pointers: no Python, no torch. The caller allocates every output.
#pragma once

#include <stdint.h>

namespace splatpaint {

// A tile of 32 x 32 pixels is 8 x 8 blocks; a block is 4 x 4 pixels. Both are numbered row by row.
// One bit a block says which of a tile's blocks a splat touches.
constexpr int kBlockSide = 4;
constexpr int kBlockPixels = kBlockSide * kBlockSide;
constexpr int kTileSide = 32;
constexpr int kTileBlocks = kTileSide / kBlockSide;  // a side
constexpr int kBlocks = kTileBlocks * kTileBlocks;

static inline int tiles_across(int pixels) { return (pixels + kTileSide - 1) / kTileSide; }

struct Limits {
  float near_plane;         // world units
  float blur_px;            // added to the diagonal of every projected covariance, square pixels
  float alpha_min;          // below: not drawn
  float alpha_max;          // clamp
  float transmittance_min;  // compositing stops before it is reached
};

struct Camera {
  float rotation[9];  // of cam_from_world, row-major
  float translation[3];
  float fx, fy, cx, cy;  // pixels
  int width, height;
};

struct Gaussians {
  int64_t count;
  const float* means;            // (n, 3)
  const float* quats;            // (n, 4) wxyz
  const float* log_scales;       // (n, 3)
  const float* logit_opacities;  // (n)
};

// A splat's log2(alpha) at the offset (dx, dy) from its center is `peak - (a dx + b dy)^2 - (e dx)^2`: a shape is (a, b, e, peak).
// [[a, b], [e, 0]] is a square root of the inverse covariance times log2(e) / 2, so alpha costs two multiplications and one exp2,
// and never exceeds the opacity by rounding.
struct Projection {
  float* means2d;  // (n, 2) pixels
  float* shapes;   // (n, 4)
  float* depths;   // (n)
  int32_t* radii;  // (n) 0: not drawn
  int32_t* tiles;  // (n) at least the number of tiles touched
};

// `shapes` holds the gradient by (cov_xx, cov_xy, cov_yy, ln alpha at the center), which compositing gets without inverting a shape.
struct ProjectionGradient {
  const float* means2d;
  const float* shapes;
  const float* depths;
};

// Gradients are added to these arrays.
struct GaussiansGradient {
  float* means;
  float* quats;
  float* log_scales;
  float* logit_opacities;
};

struct Harmonics {
  int64_t count;
  int terms;  // 1, 4, 9 or 16
  int channels;
  bool rgb;              // max(.5 + sum, 0), else the sum itself
  const float* sh;       // (n, terms, channels)
  const float* means;    // (n, 3)
  const int32_t* radii;  // (n) splats with 0 are skipped
  float center[3];       // of the camera
};

// A record is (mean x, mean y, a, b, e, peak, paint..., depth), padded to `stride` floats. Undefined where a splat is not drawn.
constexpr int kRecordPaint = 6;
struct Records {
  const float* data;  // (n, stride)
  int stride;
  int channels;  // of paint, depth not counted
};

// For every tile the splats that touch it, front to back.
struct Lists {
  const int32_t* offsets;  // (tiles + 1)
  const int32_t* splats;
  const uint64_t* blocks;  // bit b: the splat touches block b of the tile
  const int32_t* slots;    // index of the entry's partial sums in backward; the slots of one splat are contiguous
};

struct Canvas {
  int width, height;
  const float* background;  // (c) or null: black
  float* color;             // (c, h, w)
  float* alpha;             // (h, w)
  float* depth;             // (h, w)
  int32_t* stops;           // (tiles) number of list entries that were processed before every pixel of the tile was full
};

struct CanvasGradient {
  int width, height;
  bool geometry;                                      // false: only the gradient of the paint is computed
  const float *color, *alpha, *depth;                 // as painted
  const float *color_grad, *alpha_grad, *depth_grad;  // any may be null
  const int32_t* stops;
  float* partials;  // (slots, partial_size): six moments if geometry, then one sum a live channel, then padding
};

// How many channels carry a gradient: the colors if color_grad, the depth if depth_grad.
static inline int live_channels(const Records& records, const CanvasGradient& g) {
  return (g.color_grad ? records.channels : 0) + (g.depth_grad ? 1 : 0);
}
static inline int partial_size(const Records& records, const CanvasGradient& g) {
  return ((g.geometry ? 6 : 0) + live_channels(records, g) + 3) / 4 * 4;
}

// The tiles and blocks that a range of splats touches, in the order of the splats.
struct Touched {
  uint32_t* tiles;
  uint64_t* blocks;
  int64_t capacity;  // entries that fit
  int32_t* counts;   // number of entries of each splat
};

// The sum over views, channels and pixels of weight ((1 - dssim) |color - target| + dssim (1 - SSIM)). SSIM is that of a window of
// kWindowSide pixels a side, which is reflected at the borders; color stands for itself where the weight is positive, and for
// the target elsewhere.
constexpr int kWindowSide = 11;
struct PhotometricLoss {
  int views, channels, height, width;
  const float* color;   // (v, c, h, w)
  const float* target;  // (v, c, h, w)
  const float* weight;  // (v, h, w)
  float dssim;          // in [0, 1]
  const float* taps;    // (kWindowSide) the window along one axis, symmetric, of sum 1
  float c1, c2;         // stabilizers
  float* gradient;      // (v, c, h, w) of the sum by the color, or null
};

// The approximate solution x of `4 x - (sum of the four neighbors) = source` in the holes and 0 elsewhere, by one V-cycle from 0.
struct MultigridCycle {
  int views, channels, height, width;
  const float* source;  // (v, c, h, w) zero outside the holes
  const float* holes;   // (v, h, w) 1 or 0
  float* correction;    // (v, c, h, w) x
  int sweeps;           // of damped Jacobi, before and after each coarse correction
  float damping;
  int coarsest_px, coarsest_sweeps;  // where a side is no longer than this, there are so many sweeps and nothing coarser
};

// One instruction set's functions. Ranges are [begin, end).
struct Target {
  const char* name;
  void (*project)(const Gaussians&, const Camera&, const Limits&, const Projection&, int64_t begin, int64_t end);
  void (*project_backward)(const Gaussians&, const Camera&, const Limits&, const int32_t* radii, const ProjectionGradient&,
                           const GaussiansGradient&, int64_t begin, int64_t end);
  void (*shade)(const Harmonics&, float* colors, int64_t begin, int64_t end);
  void (*shade_backward)(const Harmonics&, const float* colors, const float* colors_grad, float* sh_grad, float* means_grad,
                         int64_t begin, int64_t end);
  int64_t (*touch)(const Projection&, const Limits&, int width, int height, int64_t begin, int64_t end, const Touched&);
  void (*composite)(const Records&, const Lists&, const Limits&, const Canvas&, int tile, float* scratch);
  void (*composite_backward)(const Records&, const Lists&, const Limits&, const CanvasGradient&, int tile, float* scratch);
  // The part of the sum that some rows of one channel of one view give (number: view * channels + channel), and their gradient.
  double (*photometric)(const PhotometricLoss&, int plane, int begin, int end, float* scratch);
  void (*multigrid)(const MultigridCycle&, int plane, float* scratch);
};

// Floats of scratch that one tile needs.
static inline int64_t composite_scratch(int channels) { return int64_t(channels + 2) * kBlocks * kBlockPixels; }
static inline int64_t composite_backward_scratch(int channels) { return int64_t(channels + 4) * (kBlocks + 1) * kBlockPixels; }
// Floats of a row of scratch, with room to read past its end, and of the scratch of one range of rows.
static inline int photometric_stride(int width) { return (width + 15) / 16 * 16 + 16; }
static inline int64_t photometric_scratch(int width) { return int64_t(7 * (kWindowSide + 1)) * photometric_stride(width); }

// Floats of a row, of a resolution and of all resolutions of a multigrid.
static inline int multigrid_stride(int width) { return (width + 15) / 16 * 16 + 16; }
static inline int64_t multigrid_level(int height, int width) { return int64_t(4) * (height + 2) * multigrid_stride(width); }
static inline int64_t multigrid_scratch(int height, int width) {
  int64_t total = multigrid_level(height, width);
  for (; height > 1 && width > 1; total += multigrid_level(height, width)) {
    height = (height + 1) / 2;
    width = (width + 1) / 2;
  }
  return total;
}

}  // namespace splatpaint
