// The instruction sets that were compiled in, and the one in use.
#pragma once

#include "splatpaint/kernels.hpp"

namespace splatpaint {

namespace scalar { extern const Target target; }
namespace avx2 { extern const Target target; }
namespace avx512 { extern const Target target; }
namespace neon { extern const Target target; }

// Those that this processor can run, fastest last; null ends the list.
const Target* const* supported_targets();

}  // namespace splatpaint
