// What a compiled model consists of, wherever and from however many files it was made.
#pragma once

#include <mujoco/mujoco.h>

#include <map>
#include <string>

namespace admrl {

// The fields of mjOption and the arrays of mjModel by name, as text; but for the paths of its
// files.
//
// Numbers in 9 significant digits (float: 6): what the compiler computes, such as inertias, may
// differ in the last bits between machines.
std::map<std::string, std::string> model_content(const mjModel* m);

}  // namespace admrl
