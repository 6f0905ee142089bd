// Tells the thread sanitizer what it cannot see: libmujoco is not instrumented, so the hand-over of
// work to the threads of a batch, and back, looks to it like no synchronisation at all. (What
// libmujoco itself reads and writes is left out by TSAN_OPTIONS=ignore_noninstrumented_modules=1.)
#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace admrl {

// What happened before this call is visible after `tsan_acquire` of the same address.
inline void tsan_release([[maybe_unused]] const void* address) noexcept {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(const_cast<void*>(address));
#endif
}

inline void tsan_acquire([[maybe_unused]] const void* address) noexcept {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(const_cast<void*>(address));
#endif
}

}  // namespace admrl
