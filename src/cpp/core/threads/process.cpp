#include "core/threads/process.hpp"

#include <atomic>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace admrl {

namespace {

std::atomic<int> forks{0};

#if defined(__unix__) || defined(__APPLE__)
[[maybe_unused]] const int registered =
    pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
#endif

}  // namespace

int num_forks() noexcept { return forks.load(); }

}  // namespace admrl
