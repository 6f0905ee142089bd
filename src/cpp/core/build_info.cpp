#include "core/build_info.hpp"

#include <mujoco/mujoco.h>

#include <Eigen/Core>

#include "kernels/dispatch.hpp"

namespace admrl {

namespace {

// MuJoCo's version is one number: 4000001 is 4.0.1.
std::string dotted(int version) {
  return std::to_string(version / 1000000) + "." + std::to_string(version / 1000 % 1000) + "." +
         std::to_string(version % 1000);
}

}  // namespace

BuildInfo build_info() {
  BuildInfo info;
  info.kernels = kernels().isa;
  info.bf16 = kernels().pair_product != nullptr;
  for (const Kernels* k : available_kernels()) info.isa_available.emplace_back(k->isa);
#if defined(__clang__)
  info.compiler = __VERSION__;
#else
  info.compiler = "GCC " __VERSION__;
#endif
  info.mujoco = dotted(mj_version());
  info.mujoco_headers = dotted(mjVERSION_HEADER);
  info.eigen = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) +
               "." + std::to_string(EIGEN_MINOR_VERSION);
  info.cxx_standard = "C++" + std::to_string(__cplusplus / 100 % 100);
  return info;
}

}  // namespace admrl
