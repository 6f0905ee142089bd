// What this binary was built with, and which kernels it runs here.
#pragma once

#include <string>
#include <vector>

namespace admrl {

struct BuildInfo {
  std::string kernels;                     // instruction set in use
  std::vector<std::string> isa_available;  // instruction sets built that this CPU has, lowest first
  bool bf16;                               // the kernels in use multiply bfloat16
  std::string compiler;
  std::string mujoco;          // version of the library in use, e.g. "4.0.1"
  std::string mujoco_headers;  // version built against
  std::string eigen;           // version
  std::string cxx_standard;    // e.g. "C++20"
};

// Raises InvalidInput as `kernels()`.
BuildInfo build_info();

}  // namespace admrl
