# Compute kernels compiled once per instruction set and chosen at run time.
