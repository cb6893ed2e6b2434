// The functions of cuBLAS that the back end calls, passed on to the library once a device is opened. Linked as usual it
// would be loaded by every start of the program, which takes longer than most commands. Where other code defines these
// functions, as the emulated device does, this file is not linked.

#include <cublas_v2.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "kernels/error.hpp"

namespace orthospike {

namespace {

/// The library, found as the system finds libraries or where it was when this program was built.
void* cublas() {
  static void* const library = [] {
    const std::string name = fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR);
    void* found = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (found == nullptr)
      found = dlopen((ORTHOSPIKE_CUBLAS_FOLDER "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (found == nullptr) throw EnvironmentError(fmt::format("cuBLAS cannot be loaded: {}", dlerror()));
    return found;
  }();
  return library;
}

/// What the library's function of that name, of the type of `declared`, returns.
template <auto declared, class... Arguments>
auto pass_on(const char* name, Arguments... arguments) {
  static const auto function = reinterpret_cast<decltype(declared)>(dlsym(cublas(), name));
  if (function == nullptr) throw EnvironmentError(fmt::format("cuBLAS has no function {}", name));
  return function(arguments...);
}

}  // namespace

}  // namespace orthospike

using orthospike::pass_on;

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  return pass_on<cublasCreate_v2>("cublasCreate_v2", handle);
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  return pass_on<cublasDestroy_v2>("cublasDestroy_v2", handle);
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return pass_on<cublasGetStatusString>("cublasGetStatusString", status);
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return pass_on<cublasSetStream_v2>("cublasSetStream_v2", handle, stream);
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                              int m, int n, int k, const float* alpha, const float* a, int lda,
                              const float* b, int ldb, const float* beta, float* c, int ldc) {
  return pass_on<cublasSgemm_v2>("cublasSgemm_v2", handle, transa, transb, m, n, k, alpha, a, lda, b, ldb,
                                 beta, c, ldc);
}

cublasStatus_t cublasSgeam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m,
                           int n, const float* alpha, const float* a, int lda, const float* beta,
                           const float* b, int ldb, float* c, int ldc) {
  return pass_on<cublasSgeam>("cublasSgeam", handle, transa, transb, m, n, alpha, a, lda, beta, b, ldb, c,
                              ldc);
}

cublasStatus_t cublasSgemv_v2(cublasHandle_t handle, cublasOperation_t trans, int m, int n,
                              const float* alpha, const float* a, int lda, const float* x, int incx,
                              const float* beta, float* y, int incy) {
  return pass_on<cublasSgemv_v2>("cublasSgemv_v2", handle, trans, m, n, alpha, a, lda, x, incx, beta, y,
                                 incy);
}

cublasStatus_t cublasSscal_v2(cublasHandle_t handle, int n, const float* alpha, float* x, int incx) {
  return pass_on<cublasSscal_v2>("cublasSscal_v2", handle, n, alpha, x, incx);
}
