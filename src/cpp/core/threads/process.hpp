// A forked child has its parent's memory and none of its threads.
#pragma once

namespace admrl {

// How many forks lie between the program's start and this process; constant in a process.
int num_forks() noexcept;

}  // namespace admrl
