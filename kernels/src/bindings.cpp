// Arrays in, pointers out. Strides, types and devices are refused here rather than converted: a converted copy of an output would be
// thrown away in silence.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "images.hpp"
#include "rasterizer.hpp"
#include "targets.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using namespace splatpaint;

template <class T, auto... shape>
using Array = nb::ndarray<T, nb::shape<shape...>, nb::c_contig, nb::device::cpu>;
template <auto... shape>
using Floats = Array<const float, shape...>;
template <auto... shape>
using FloatsOut = Array<float, shape...>;
template <auto... shape>
using Ints = Array<const int32_t, shape...>;
template <auto... shape>
using IntsOut = Array<int32_t, shape...>;

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const Target* const* target = supported_targets(); *target; ++target) names.emplace_back((*target)->name);
  return names;
}

const Target& target_named(const std::string& name) {
  std::string known;
  for (const Target* const* target = supported_targets(); *target; ++target) {
    if (name == (*target)->name) return **target;
    known += std::string(known.empty() ? "" : ", ") + (*target)->name;
  }
  throw nb::value_error(("the kernels have no target '" + name + "' on this processor, expected one of " + known).c_str());
}

// The fastest that runs here, unless SPLATPAINT_KERNELS asks for another.
const Target* first_choice() {
  if (const char* name = std::getenv("SPLATPAINT_KERNELS"); name && *name) return &target_named(name);
  const Target* const* target = supported_targets();
  while (target[1]) ++target;
  return *target;
}

const Target* selected = nullptr;

void expect(bool holds, const char* what) {
  if (!holds) throw nb::value_error(what);
}

template <class A>
auto* pointer_or_null(const std::optional<A>& array) {
  return array ? array->data() : nullptr;
}

Camera camera_of(const Floats<3, 3>& K, const Floats<4, 4>& cam_from_world, int width, int height) {
  Camera camera{};
  const float *k = K.data(), *m = cam_from_world.data();
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) camera.rotation[3 * i + j] = m[4 * i + j];
    camera.translation[i] = m[4 * i + 3];
  }
  camera.fx = k[0];
  camera.fy = k[4];
  camera.cx = k[2];
  camera.cy = k[5];
  camera.width = width;
  camera.height = height;
  return camera;
}

}  // namespace

NB_MODULE(_kernels, m) {
  m.doc() = "Forward and backward of splat rendering and of the photometric loss on the processor. See kernels/README.md.";
  selected = first_choice();
  // Interpreters often leave module globals alive at exit; nanobind would report them on stderr of every program.
  nb::set_leak_warnings(false);

  nb::class_<Limits>(m, "Limits")
      .def(nb::init<float, float, float, float, float>(), nb::kw_only(), "near_plane"_a, "blur_px"_a, "alpha_min"_a, "alpha_max"_a,
           "transmittance_min"_a);
  m.def("targets", target_names);
  m.def("selected", [] { return std::string(selected->name); });
  m.def("select", [](const std::string& name) { selected = &target_named(name); }, "name"_a);

  m.def(
      "project",
      [](Floats<-1, 3> means, Floats<-1, 4> quats, Floats<-1, 3> log_scales, Floats<-1> logit_opacities, Floats<3, 3> K,
         Floats<4, 4> cam_from_world, int width, int height, const Limits& limits, FloatsOut<-1, 2> means2d, FloatsOut<-1, 4> shapes,
         FloatsOut<-1> depths, IntsOut<-1> radii, IntsOut<-1> tiles, int threads) {
        const size_t n = means.shape(0);
        expect(quats.shape(0) == n && log_scales.shape(0) == n && logit_opacities.shape(0) == n && means2d.shape(0) == n &&
                   shapes.shape(0) == n && depths.shape(0) == n && radii.shape(0) == n && tiles.shape(0) == n,
               "arrays disagree on the number of splats");
        nb::gil_scoped_release release;
        project(*selected, {int64_t(n), means.data(), quats.data(), log_scales.data(), logit_opacities.data()},
                camera_of(K, cam_from_world, width, height), limits,
                {means2d.data(), shapes.data(), depths.data(), radii.data(), tiles.data()}, threads);
      },
      "means"_a.noconvert(), "quats"_a.noconvert(), "log_scales"_a.noconvert(), "logit_opacities"_a.noconvert(), "K"_a.noconvert(),
      "cam_from_world"_a.noconvert(), "width"_a, "height"_a, "limits"_a, nb::kw_only(), "means2d"_a.noconvert(), "shapes"_a.noconvert(),
      "depths"_a.noconvert(), "radii"_a.noconvert(), "tiles"_a.noconvert(), "threads"_a);

  m.def(
      "project_backward",
      [](Floats<-1, 3> means, Floats<-1, 4> quats, Floats<-1, 3> log_scales, Floats<-1> logit_opacities, Floats<3, 3> K,
         Floats<4, 4> cam_from_world, int width, int height, const Limits& limits, Ints<-1> radii, Floats<-1, 2> means2d_grad,
         Floats<-1, 4> shapes_grad, Floats<-1> depths_grad, FloatsOut<-1, 3> means_out, FloatsOut<-1, 4> quats_out,
         FloatsOut<-1, 3> log_scales_out, FloatsOut<-1> logit_opacities_out, int threads) {
        const size_t n = means.shape(0);
        expect(quats.shape(0) == n && log_scales.shape(0) == n && logit_opacities.shape(0) == n && radii.shape(0) == n &&
                   means2d_grad.shape(0) == n && shapes_grad.shape(0) == n && depths_grad.shape(0) == n && means_out.shape(0) == n &&
                   quats_out.shape(0) == n && log_scales_out.shape(0) == n && logit_opacities_out.shape(0) == n,
               "arrays disagree on the number of splats");
        nb::gil_scoped_release release;
        project_backward(*selected, {int64_t(n), means.data(), quats.data(), log_scales.data(), logit_opacities.data()},
                         camera_of(K, cam_from_world, width, height), limits, radii.data(),
                         {means2d_grad.data(), shapes_grad.data(), depths_grad.data()},
                         {means_out.data(), quats_out.data(), log_scales_out.data(), logit_opacities_out.data()}, threads);
      },
      "means"_a.noconvert(), "quats"_a.noconvert(), "log_scales"_a.noconvert(), "logit_opacities"_a.noconvert(), "K"_a.noconvert(),
      "cam_from_world"_a.noconvert(), "width"_a, "height"_a, "limits"_a, nb::kw_only(), "radii"_a.noconvert(), "means2d_grad"_a.noconvert(),
      "shapes_grad"_a.noconvert(), "depths_grad"_a.noconvert(), "means_out"_a.noconvert(), "quats_out"_a.noconvert(),
      "log_scales_out"_a.noconvert(), "logit_opacities_out"_a.noconvert(), "threads"_a);

  m.def(
      "shade",
      [](Floats<-1, -1, -1> sh, Floats<-1, 3> means, Floats<3> center, Ints<-1> radii, bool rgb, FloatsOut<-1, -1> colors, int threads) {
        const size_t n = sh.shape(0);
        expect(means.shape(0) == n && radii.shape(0) == n && colors.shape(0) == n && colors.shape(1) == sh.shape(2),
               "arrays disagree on the number of splats or channels");
        nb::gil_scoped_release release;
        Harmonics h{int64_t(n), int(sh.shape(1)), int(sh.shape(2)), rgb, sh.data(), means.data(), radii.data(),
                    {center.data()[0], center.data()[1], center.data()[2]}};
        shade(*selected, h, colors.data(), threads);
      },
      "sh"_a.noconvert(), "means"_a.noconvert(), "center"_a.noconvert(), "radii"_a.noconvert(), "rgb"_a, nb::kw_only(),
      "colors"_a.noconvert(), "threads"_a);

  m.def(
      "shade_backward",
      [](Floats<-1, -1, -1> sh, Floats<-1, 3> means, Floats<3> center, Ints<-1> radii, bool rgb, Floats<-1, -1> colors,
         Floats<-1, -1> colors_grad, std::optional<FloatsOut<-1, -1, -1>> sh_out, std::optional<FloatsOut<-1, 3>> means_out, int threads) {
        const size_t n = sh.shape(0), c = sh.shape(2);
        expect(means.shape(0) == n && radii.shape(0) == n && colors.shape(0) == n && colors.shape(1) == c && colors_grad.shape(0) == n &&
                   colors_grad.shape(1) == c && (!sh_out || (sh_out->shape(0) == n && sh_out->size() == sh.size())) &&
                   (!means_out || means_out->shape(0) == n),
               "arrays disagree on the number of splats or channels");
        nb::gil_scoped_release release;
        Harmonics h{int64_t(n), int(sh.shape(1)), int(c), rgb, sh.data(), means.data(), radii.data(),
                    {center.data()[0], center.data()[1], center.data()[2]}};
        shade_backward(*selected, h, colors.data(), colors_grad.data(), pointer_or_null(sh_out), pointer_or_null(means_out), threads);
      },
      "sh"_a.noconvert(), "means"_a.noconvert(), "center"_a.noconvert(), "radii"_a.noconvert(), "rgb"_a, nb::kw_only(),
      "colors"_a.noconvert(), "colors_grad"_a.noconvert(), "sh_out"_a.noconvert().none(), "means_out"_a.noconvert().none(), "threads"_a);

  m.def(
      "bin",
      [](FloatsOut<-1, 2> means2d, FloatsOut<-1, 4> shapes, FloatsOut<-1> depths, IntsOut<-1> radii, IntsOut<-1> tiles,
         Floats<-1, -1> paint, int width, int height, const Limits& limits, FloatsOut<-1, -1> records,
         IntsOut<-1> first_slots, IntsOut<-1> offsets, IntsOut<-1> splats, Array<uint64_t, -1> blocks, IntsOut<-1> slots, int threads) {
        const size_t n = means2d.shape(0), bound = splats.shape(0);
        int64_t needed = 0;
        for (size_t i = 0; i < n; ++i) needed += tiles.data()[i];
        expect(shapes.shape(0) == n && depths.shape(0) == n && radii.shape(0) == n && tiles.shape(0) == n && paint.shape(0) == n &&
                   records.shape(0) == n && first_slots.shape(0) == n + 1,
               "arrays disagree on the number of splats");
        expect(records.shape(1) >= paint.shape(1) + kRecordPaint + 1, "records are too short for their channels");
        expect(offsets.shape(0) == size_t(tiles_across(width)) * tiles_across(height) + 1, "offsets has another size than the tiles plus 1");
        expect(int64_t(bound) >= needed && blocks.shape(0) == bound && slots.shape(0) == bound, "lists are shorter than the sum of tiles");
        expect(threads >= 1, "threads is not positive");
        nb::gil_scoped_release release;
        return bin(*selected, {means2d.data(), shapes.data(), depths.data(), radii.data(), tiles.data()}, int64_t(n), paint.data(),
                   int(paint.shape(1)), int(records.shape(1)), int64_t(bound), limits, width, height,
                   {records.data(), first_slots.data(), offsets.data(), splats.data(), blocks.data(), slots.data()}, threads);
      },
      "means2d"_a.noconvert(), "shapes"_a.noconvert(), "depths"_a.noconvert(), "radii"_a.noconvert(), "tiles"_a.noconvert(),
      "paint"_a.noconvert(), "width"_a, "height"_a, "limits"_a, nb::kw_only(), "records"_a.noconvert(),
      "first_slots"_a.noconvert(), "offsets"_a.noconvert(), "splats"_a.noconvert(), "blocks"_a.noconvert(), "slots"_a.noconvert(),
      "threads"_a);

  m.def(
      "composite",
      [](Floats<-1, -1> records, Ints<-1> offsets, Ints<-1> splats, Array<const uint64_t, -1> blocks, const Limits& limits,
         std::optional<Floats<-1>> background, FloatsOut<-1, -1, -1> color, FloatsOut<-1, -1> alpha, FloatsOut<-1, -1> depth,
         IntsOut<-1> stops, int threads) {
        const size_t channels = color.shape(0), height = color.shape(1), width = color.shape(2);
        const size_t tiles = size_t(tiles_across(int(width))) * tiles_across(int(height));
        expect(alpha.shape(0) == height && alpha.shape(1) == width && depth.shape(0) == height && depth.shape(1) == width,
               "images disagree on their size");
        expect(offsets.shape(0) == tiles + 1 && stops.shape(0) == tiles, "lists are of another number of tiles");
        expect(records.shape(1) >= channels + kRecordPaint + 1 && (!background || background->shape(0) == channels),
               "arrays disagree on the number of channels");
        expect(splats.shape(0) == blocks.shape(0), "lists disagree on their length");
        nb::gil_scoped_release release;
        composite(*selected, {records.data(), int(records.shape(1)), int(channels)}, {offsets.data(), splats.data(), blocks.data(), nullptr}, limits,
                  {int(width), int(height), pointer_or_null(background), color.data(), alpha.data(), depth.data(), stops.data()}, threads);
      },
      "records"_a.noconvert(), "offsets"_a.noconvert(), "splats"_a.noconvert(), "blocks"_a.noconvert(), "limits"_a,
      "background"_a.noconvert().none(), nb::kw_only(), "color"_a.noconvert(), "alpha"_a.noconvert(), "depth"_a.noconvert(),
      "stops"_a.noconvert(), "threads"_a);

  m.def(
      "composite_backward",
      [](Floats<-1, -1> records, Ints<-1> offsets, Ints<-1> splats, Array<const uint64_t, -1> blocks, const Limits& limits,
         Ints<-1> first_slots, Ints<-1> slots, Floats<-1, -1, -1> color, Floats<-1, -1> alpha, Floats<-1, -1> depth, Ints<-1> stops,
         std::optional<Floats<-1, -1, -1>> color_grad, std::optional<Floats<-1, -1>> alpha_grad, std::optional<Floats<-1, -1>> depth_grad,
         FloatsOut<-1> partials, std::optional<FloatsOut<-1, 2>> means2d_out, std::optional<FloatsOut<-1, 4>> shapes_out,
         std::optional<FloatsOut<-1>> depths_out, std::optional<FloatsOut<-1, -1>> paint_out, bool add_paint, int threads) {
        const size_t channels = color.shape(0), height = color.shape(1), width = color.shape(2);
        const size_t n = records.shape(0);
        expect(alpha.shape(0) == height && alpha.shape(1) == width && depth.shape(0) == height && depth.shape(1) == width,
               "images disagree on their size");
        expect((!color_grad || (color_grad->shape(0) == channels && color_grad->shape(1) == height && color_grad->shape(2) == width)) &&
                   (!alpha_grad || (alpha_grad->shape(0) == height && alpha_grad->shape(1) == width)) &&
                   (!depth_grad || (depth_grad->shape(0) == height && depth_grad->shape(1) == width)),
               "gradients have another size than their images");
        expect(first_slots.shape(0) == n + 1 && splats.shape(0) == blocks.shape(0) &&
                   slots.shape(0) == splats.shape(0),
               "lists disagree on their length");
        expect(bool(means2d_out) == bool(shapes_out) && bool(means2d_out) == bool(depths_out), "geometry wants all its gradients or none");
        Records r{records.data(), int(records.shape(1)), int(channels)};
        CanvasGradient g{int(width),
                         int(height),
                         bool(means2d_out),
                         color.data(),
                         alpha.data(),
                         depth.data(),
                         pointer_or_null(color_grad),
                         pointer_or_null(alpha_grad),
                         pointer_or_null(depth_grad),
                         stops.data(),
                         partials.data()};
        expect(partials.shape(0) >= splats.shape(0) * partial_size(r, g), "partials are too short");
        nb::gil_scoped_release release;
        composite_backward(*selected, r, {offsets.data(), splats.data(), blocks.data(), slots.data()}, limits, g, first_slots.data(), int64_t(n),
                           {pointer_or_null(means2d_out), pointer_or_null(shapes_out), pointer_or_null(depths_out),
                            pointer_or_null(paint_out), add_paint},
                           threads);
      },
      "records"_a.noconvert(), "offsets"_a.noconvert(), "splats"_a.noconvert(), "blocks"_a.noconvert(), "limits"_a, nb::kw_only(),
      "first_slots"_a.noconvert(), "slots"_a.noconvert(), "color"_a.noconvert(), "alpha"_a.noconvert(),
      "depth"_a.noconvert(), "stops"_a.noconvert(), "color_grad"_a.noconvert().none(), "alpha_grad"_a.noconvert().none(),
      "depth_grad"_a.noconvert().none(), "partials"_a.noconvert(), "means2d_out"_a.noconvert().none(), "shapes_out"_a.noconvert().none(),
      "depths_out"_a.noconvert().none(), "paint_out"_a.noconvert().none(), "add_paint"_a, "threads"_a);

  m.def(
      "photometric",
      [](Floats<-1, -1, -1, -1> color, Floats<-1, -1, -1, -1> target, Floats<-1, 1, -1, -1> weight, float dssim,
         Floats<kWindowSide> taps, float c1, float c2, std::optional<FloatsOut<-1, -1, -1, -1>> gradient, int threads) {
        const size_t views = color.shape(0), channels = color.shape(1), height = color.shape(2), width = color.shape(3);
        auto fits = [&](const auto& other, size_t planes) {
          return other.shape(0) == views && other.shape(1) == planes && other.shape(2) == height && other.shape(3) == width;
        };
        expect(fits(target, channels) && fits(weight, 1) && (!gradient || fits(*gradient, channels)), "images disagree on their size");
        expect(dssim == 0.0f || (height > kWindowSide / 2 && width > kWindowSide / 2), "images are not larger than half a window");
        nb::gil_scoped_release release;
        return photometric(*selected, {int(views), int(channels), int(height), int(width), color.data(), target.data(), weight.data(),
                                       dssim, taps.data(), c1, c2, pointer_or_null(gradient)}, threads);
      },
      "color"_a.noconvert(), "target"_a.noconvert(), "weight"_a.noconvert(), "dssim"_a, "taps"_a.noconvert(), "c1"_a, "c2"_a,
      nb::kw_only(), "gradient"_a.noconvert().none(), "threads"_a);

  m.def(
      "multigrid",
      [](Floats<-1, -1, -1, -1> source, Floats<-1, 1, -1, -1> holes, int sweeps, float damping, int coarsest_px, int coarsest_sweeps,
         FloatsOut<-1, -1, -1, -1> correction, int threads) {
        const size_t views = source.shape(0), channels = source.shape(1), height = source.shape(2), width = source.shape(3);
        auto fits = [&](const auto& other, size_t planes) {
          return other.shape(0) == views && other.shape(1) == planes && other.shape(2) == height && other.shape(3) == width;
        };
        expect(fits(holes, 1) && fits(correction, channels), "images disagree on their size");
        expect(coarsest_px >= 1, "coarsest_px is not positive");
        nb::gil_scoped_release release;
        multigrid(*selected, {int(views), int(channels), int(height), int(width), source.data(), holes.data(), correction.data(), sweeps,
                              damping, coarsest_px, coarsest_sweeps}, threads);
      },
      "source"_a.noconvert(), "holes"_a.noconvert(), "sweeps"_a, "damping"_a, "coarsest_px"_a, "coarsest_sweeps"_a, nb::kw_only(),
      "correction"_a.noconvert(), "threads"_a);
}
