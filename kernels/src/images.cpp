#include "images.hpp"

#include <vector>

#include "parallel.hpp"
#include "scratch.hpp"

namespace splatpaint {

namespace {

// Rows per work item. The means of 20 more are needed, and SSIM of 10 more.
constexpr int kStrip = 96;

}  // namespace

double photometric(const Target& target, const PhotometricLoss& loss, int threads) {
  const int strips = (loss.height + kStrip - 1) / kStrip, items = loss.views * loss.channels * strips;
  const Scratch scratch(photometric_scratch(loss.width), threads);
  std::vector<double> sums(items);
  parallel_for(items, threads, [&](int item, int thread) {
    const int begin = item % strips * kStrip, end = begin + kStrip;
    sums[item] = target.photometric(loss, item / strips, begin, end < loss.height ? end : loss.height, scratch.of(thread));
  });
  double total = 0.0;
  for (double sum : sums) total += sum;
  return total;
}

void multigrid(const Target& target, const MultigridCycle& cycle, int threads) {
  const Scratch scratch(multigrid_scratch(cycle.height, cycle.width), threads);
  parallel_for(cycle.views * cycle.channels, threads, [&](int plane, int thread) { target.multigrid(cycle, plane, scratch.of(thread)); });
}

}  // namespace splatpaint
