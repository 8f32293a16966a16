// Memory that threads work in.
#pragma once

#include <stdint.h>

#include <new>

namespace splatpaint {

// One buffer for each thread, aligned to cache lines: unaligned vectors would straddle two.
class Scratch {
 public:
  Scratch(int64_t floats, int threads)
      : stride_((floats + kLine - 1) / kLine * kLine), data_(new (std::align_val_t{kLine * sizeof(float)}) float[stride_ * threads]) {}
  ~Scratch() { operator delete[](data_, std::align_val_t{kLine * sizeof(float)}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* of(int thread) const { return data_ + stride_ * thread; }

 private:
  static constexpr int64_t kLine = 16;  // floats
  int64_t stride_;
  float* data_;
};

}  // namespace splatpaint
