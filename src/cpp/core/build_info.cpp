#include "core/build_info.hpp"

#include <mujoco/mujoco.h>

#include <Eigen/Core>

#include "kernels/dispatch.hpp"

namespace admrl {

BuildInfo build_info() {
  BuildInfo info;
  info.kernels = kernels().isa;
  for (const Kernels* k : available_kernels()) info.isa_available.emplace_back(k->isa);
#if defined(__clang__)
  info.compiler = __VERSION__;
#else
  info.compiler = "GCC " __VERSION__;
#endif
  // The header's version is one number: 4000001 is 4.0.1.
  constexpr long version = mjVERSION_HEADER;
  info.mujoco_headers = std::to_string(version / 1000000) + "." +
                        std::to_string(version / 1000 % 1000) + "." +
                        std::to_string(version % 1000);
  info.eigen = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) +
               "." + std::to_string(EIGEN_MINOR_VERSION);
  info.cxx_standard = "C++" + std::to_string(__cplusplus / 100 % 100);
  return info;
}

}  // namespace admrl
