// The functions of cuBLAS that the back end may call, on the host's BLAS.

#include <cblas.h>
#include <cublas_v2.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tests/emulation/memory.hpp"
#include "tests/emulation/scheduler.hpp"
#include "tests/emulation/stream.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
};

namespace orthospike::emulation {

namespace {

/// A scalar argument: the host's is read at the call, the device's when the operation runs.
class Scalar {
 public:
  Scalar(cublasHandle_t handle, const float* address)
      : device_(handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE ? address : nullptr),
        value_(device_ == nullptr ? *address : 0) {}
  float operator()() const { return device_ == nullptr ? value_ : *device_; }

 private:
  const float* device_;
  float value_;
};

void require_device_memory(const char* call, const float* values, std::size_t count) {
  if (!heap().contains(values, count * sizeof(float)))
    fail(fmt::format("{} of {} numbers reaches outside a block of device memory", call, count));
}

/// Of a column-major matrix without the gap after its last column.
void require_matrix(const char* call, const float* values, int rows, int cols, int leading) {
  require_device_memory(call, values,
                        static_cast<std::size_t>(cols - 1) * static_cast<std::size_t>(leading) +
                            static_cast<std::size_t>(rows));
}

void require_vector(const char* call, const float* values, int count, int stride) {
  if (stride <= 0)
    fail(fmt::format("{} with the stride {}, which the emulated cuBLAS does not know", call, stride));
  require_matrix(call, values, 1, count, stride);
}

CBLAS_TRANSPOSE cblas(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N ? CblasNoTrans : CblasTrans;
}

/// Does the operation as one of the device's.
cublasStatus_t queue(cublasHandle_t handle, std::function<void()> operation) {
  enqueue(handle->stream, [operation = std::move(operation)] {
    const DeviceScope scope;
    operation();
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

}  // namespace orthospike::emulation

using namespace orthospike::emulation;  // the rest is the toolkit's interface, outside all namespaces

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  handle->pointer_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t* mode) {
  *mode = handle->pointer_mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->math_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t /*handle*/, void* /*workspace*/, std::size_t /*bytes*/) {
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "the function succeeded";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
    default:
      return "the function failed";
  }
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transpose_a,
                           cublasOperation_t transpose_b, int m, int n, int k, const float* alpha,
                           const float* a, int lda, const float* b, int ldb, const float* beta, float* c,
                           int ldc) {
  const int a_rows = transpose_a == CUBLAS_OP_N ? m : k;
  const int b_rows = transpose_b == CUBLAS_OP_N ? k : n;
  if (m < 0 || n < 0 || k < 0 || lda < std::max(1, a_rows) || ldb < std::max(1, b_rows) ||
      ldc < std::max(1, m))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  const Scalar product_factor(handle, alpha);
  const Scalar addend_factor(handle, beta);
  return queue(handle, [=] {
    if (k > 0) {
      require_matrix("cublasSgemm", a, a_rows, transpose_a == CUBLAS_OP_N ? k : m, lda);
      require_matrix("cublasSgemm", b, b_rows, transpose_b == CUBLAS_OP_N ? n : k, ldb);
    }
    require_matrix("cublasSgemm", c, m, n, ldc);
    if (addend_factor() == 0.0F) {  // then c need not hold numbers, which not every BLAS heeds
      for (int j = 0; j < n; ++j) std::fill_n(c + std::size_t(j) * std::size_t(ldc), m, 0.0F);
    }
    cblas_sgemm(CblasColMajor, cblas(transpose_a), cblas(transpose_b), m, n, k, product_factor(), a, lda, b,
                ldb, addend_factor(), c, ldc);
  });
}

cublasStatus_t cublasSgemv(cublasHandle_t handle, cublasOperation_t transpose, int m, int n,
                           const float* alpha, const float* a, int lda, const float* x, int x_stride,
                           const float* beta, float* y, int y_stride) {
  if (m < 0 || n < 0 || lda < std::max(1, m) || x_stride == 0 || y_stride == 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  const int x_size = transpose == CUBLAS_OP_N ? n : m;
  const int y_size = transpose == CUBLAS_OP_N ? m : n;
  const Scalar product_factor(handle, alpha);
  const Scalar addend_factor(handle, beta);
  return queue(handle, [=] {
    require_matrix("cublasSgemv", a, m, n, lda);
    require_vector("cublasSgemv", x, x_size, x_stride);
    require_vector("cublasSgemv", y, y_size, y_stride);
    if (addend_factor() == 0.0F) {
      for (int i = 0; i < y_size; ++i) y[std::size_t(i) * std::size_t(y_stride)] = 0.0F;
    }
    cblas_sgemv(CblasColMajor, cblas(transpose), m, n, product_factor(), a, lda, x, x_stride, addend_factor(),
                y, y_stride);
  });
}

cublasStatus_t cublasSgeam(cublasHandle_t handle, cublasOperation_t transpose_a,
                           cublasOperation_t transpose_b, int m, int n, const float* alpha, const float* a,
                           int lda, const float* beta, const float* b, int ldb, float* c, int ldc) {
  if (m < 0 || n < 0 || lda < std::max(1, transpose_a == CUBLAS_OP_N ? m : n) ||
      ldb < std::max(1, transpose_b == CUBLAS_OP_N ? m : n) || ldc < std::max(1, m))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  const Scalar a_factor(handle, alpha);
  const Scalar b_factor(handle, beta);
  return queue(handle, [=] {
    require_matrix("cublasSgeam", a, transpose_a == CUBLAS_OP_N ? m : n, transpose_a == CUBLAS_OP_N ? n : m,
                   lda);
    require_matrix("cublasSgeam", b, transpose_b == CUBLAS_OP_N ? m : n, transpose_b == CUBLAS_OP_N ? n : m,
                   ldb);
    require_matrix("cublasSgeam", c, m, n, ldc);
    const auto value = [](const Scalar& factor, const float* x, cublasOperation_t transpose, int row, int col,
                          int ld) {
      if (factor() == 0.0F) return 0.0F;  // then it need not hold numbers
      if (transpose != CUBLAS_OP_N) std::swap(row, col);
      return factor() * x[std::size_t(row) + std::size_t(col) * std::size_t(ld)];
    };
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < m; ++i) {
        c[std::size_t(i) + std::size_t(j) * std::size_t(ldc)] =
            value(a_factor, a, transpose_a, i, j, lda) + value(b_factor, b, transpose_b, i, j, ldb);
      }
    }
  });
}

cublasStatus_t cublasSscal(cublasHandle_t handle, int n, const float* alpha, float* x, int stride) {
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  const Scalar factor(handle, alpha);
  return queue(handle, [=] {
    require_vector("cublasSscal", x, n, stride);
    for (std::size_t i = 0; i < std::size_t(n); ++i) x[i * std::size_t(stride)] *= factor();
  });
}

cublasStatus_t cublasSaxpy(cublasHandle_t handle, int n, const float* alpha, const float* x, int x_stride,
                           float* y, int y_stride) {
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  const Scalar factor(handle, alpha);
  return queue(handle, [=] {
    require_vector("cublasSaxpy", x, n, x_stride);
    require_vector("cublasSaxpy", y, n, y_stride);
    for (std::size_t i = 0; i < std::size_t(n); ++i)
      y[i * std::size_t(y_stride)] += factor() * x[i * std::size_t(x_stride)];
  });
}

cublasStatus_t cublasScopy(cublasHandle_t handle, int n, const float* x, int x_stride, float* y,
                           int y_stride) {
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  return queue(handle, [=] {
    require_vector("cublasScopy", x, n, x_stride);
    require_vector("cublasScopy", y, n, y_stride);
    for (std::size_t i = 0; i < std::size_t(n); ++i)
      y[i * std::size_t(y_stride)] = x[i * std::size_t(x_stride)];
  });
}

/// With a result on the host this waits, as cuBLAS does.
cublasStatus_t cublasSnrm2(cublasHandle_t handle, int n, const float* x, int stride, float* result) {
  const bool on_device = handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE;
  const cublasStatus_t status = queue(handle, [=] {
    if (n > 0) require_vector("cublasSnrm2", x, n, stride);
    if (on_device) require_device_memory("cublasSnrm2", result, 1);
    double sum = 0;
    for (std::size_t i = 0; i < std::size_t(std::max(n, 0)); ++i) {
      const double value = x[i * std::size_t(stride)];
      sum += value * value;
    }
    *result = static_cast<float>(std::sqrt(sum));
  });
  if (!on_device) cudaStreamSynchronize(handle->stream);
  return status;
}
