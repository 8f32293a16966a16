// Compiled once per instruction set, each time into its own namespace. Nothing here may instantiate a template of the standard
// library (see simd.hpp).
#include "compositing.hpp"
#include "harmonics.hpp"
#include "multigrid.hpp"
#include "photometric.hpp"
#include "targets.hpp"

#define SPLATPAINT_STRING_OF(x) #x
#define SPLATPAINT_STRING(x) SPLATPAINT_STRING_OF(x)

namespace splatpaint::SPLATPAINT_TARGET {

extern const Target target;
const Target target = {
    SPLATPAINT_STRING(SPLATPAINT_TARGET), project, project_backward, shade, shade_backward, touch, composite, composite_backward, photometric, multigrid,
};

}  // namespace splatpaint::SPLATPAINT_TARGET
