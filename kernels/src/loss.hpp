// The photometric loss, distributed over threads. The result is the same for any number of threads.
#pragma once

#include "splatpaint/kernels.hpp"

namespace splatpaint {

double photometric(const Target&, const PhotometricLoss&, int threads);

}  // namespace splatpaint
