#include "targets.hpp"

namespace splatpaint {

namespace {

#if defined(SPLATPAINT_X86)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq");
}
#endif

struct Supported {
  const Target* list[4] = {};
  Supported() {
    int count = 0;
    list[count++] = &scalar::target;
#if defined(SPLATPAINT_X86)
    if (has_avx2()) list[count++] = &avx2::target;
    if (has_avx512()) list[count++] = &avx512::target;
#elif defined(SPLATPAINT_ARM)
    list[count++] = &neon::target;
#endif
  }
};

}  // namespace

const Target* const* supported_targets() {
  static const Supported supported;
  return supported.list;
}

}  // namespace splatpaint
