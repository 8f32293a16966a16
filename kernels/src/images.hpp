// Work on images, distributed over threads. The result is the same for any number of threads.
#pragma once

#include "splatpaint/kernels.hpp"

namespace splatpaint {

double photometric(const Target&, const PhotometricLoss&, int threads);
void multigrid(const Target&, const MultigridCycle&, int threads);

}  // namespace splatpaint
