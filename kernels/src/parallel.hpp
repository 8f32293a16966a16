// Loops over threads. OpenMP where there is one: torch uses the same runtime, so no second set of threads fights over the cores.
#pragma once

#if defined(_OPENMP)
#include <omp.h>
#else
#include <atomic>
#include <thread>
#include <vector>
#endif

namespace splatpaint {

// Calls body(index, thread) for every index. The assignment of indices to threads is unspecified, so no result may depend on it.
template <class Body>
void parallel_for(int count, int threads, const Body& body) {
  if (threads > count) threads = count;
  if (threads <= 1) {
    for (int i = 0; i < count; ++i) body(i, 0);
    return;
  }
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
    for (int i = 0; i < count; ++i) body(i, thread);
  }
#else
  std::atomic<int> next{0};
  auto work = [&](int thread) {
    for (int i = next++; i < count; i = next++) body(i, thread);
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
#endif
}

}  // namespace splatpaint
