# Compute kernels compiled once per instruction set and chosen at run time (src/cpp/kernels).
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)

# An isa's kernels become part of admrl_core; `width` is floats per vector register.
function(admrl_add_kernels isa width)
  string(MAKE_C_IDENTIFIER "${isa}" name)
  set(target admrl_kernels_${name})
  add_library(${target} OBJECT src/cpp/kernels/kernels.cpp)
  target_include_directories(${target} PRIVATE src/cpp)
  target_compile_definitions(${target} PRIVATE
    ADMRL_KERNEL_ISA="${isa}" ADMRL_KERNEL_TABLE=kernels_${name} ADMRL_KERNEL_WIDTH=${width})
  # Products and sums may fuse, and square roots set no errno: no other relaxation of IEEE arithmetic.
  target_compile_options(${target} PRIVATE
    ${ADMRL_WARNINGS} -ffp-contract=fast -fno-math-errno
    $<$<NOT:$<CONFIG:Debug>>:-O3> ${ARGN})
  target_sources(admrl_core PRIVATE $<TARGET_OBJECTS:${target}>)
  set(ADMRL_KERNEL_OBJECTS ${ADMRL_KERNEL_OBJECTS} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
endfunction()

check_cxx_source_compiles("
  #if !defined(__x86_64__)
  #error not x86-64
  #endif
  int main() {}" ADMRL_TARGET_IS_X86_64)

admrl_add_kernels(generic 4)
if(ADMRL_TARGET_IS_X86_64)
  admrl_add_kernels(x86-64-v2 4 -march=x86-64-v2)
  admrl_add_kernels(x86-64-v3 8 -march=x86-64-v3)
  admrl_add_kernels(x86-64-v4 16 -march=x86-64-v4 -mprefer-vector-width=512)
  target_compile_definitions(admrl_core PRIVATE ADMRL_X86_KERNELS)
  check_cxx_compiler_flag(-mavx512bf16 ADMRL_COMPILER_HAS_BF16)
  if(ADMRL_COMPILER_HAS_BF16)
    admrl_add_kernels(x86-64-v4-bf16 16 -march=x86-64-v4 -mavx512bf16 -mprefer-vector-width=512
      -DADMRL_KERNEL_BF16)
    target_compile_definitions(admrl_core PRIVATE ADMRL_BF16_KERNELS)
  endif()
endif()
target_sources(admrl_core PRIVATE src/cpp/kernels/dispatch.cpp)

if(ADMRL_BUILD_TESTS AND CMAKE_NM AND NOT APPLE)
  add_test(NAME kernels_share_no_symbols
    COMMAND "${CMAKE_COMMAND}" "-DNM=${CMAKE_NM}" "-DOBJECTS=${ADMRL_KERNEL_OBJECTS}"
      -P "${CMAKE_CURRENT_SOURCE_DIR}/cmake/check_kernel_symbols.cmake")
endif()
