// Picks the widest kernels that this processor has.
#include "kernels.h"

#if defined(VITLAB_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "amx.h"
#endif

namespace vitlab {

namespace baseline {
extern const Kernels kKernels;
}

#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}

static const Kernels& choose() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw"))
    return avx512::kKernels;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kKernels;
  return baseline::kKernels;
}
#else
static const Kernels& choose() { return baseline::kKernels; }
#endif

#if defined(VITLAB_AMX)
/** Whether the processor has AMX for bfloat16, and the system lets this process use it. VITLAB_AMX=0 leaves it out. */
static bool hasAmx() {
  const char* wanted = std::getenv("VITLAB_AMX");
  if (wanted && std::strcmp(wanted, "0") == 0) return false;
  unsigned a, b, c, d;
  constexpr unsigned kBf16 = 1 << 22, kTile = 1 << 24, kAvx512Bf16 = 1 << 5;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || (a & kAvx512Bf16) == 0) return false;
  // Linux gives tiles to processes that ask for them
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

static Kernels chooseHalf(Kernels chosen) {
  if (chosen.attention != avx512::kKernels.attention || !hasAmx()) return chosen;
  chosen.name = "amx";
  chosen.attentionScratch = amx::attentionScratch;
  chosen.attention = amx::attention;
  chosen.attentionGrad = amx::attentionGrad;
  return chosen;
}
#else
static Kernels chooseHalf(Kernels chosen) { return chosen; }
#endif

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

const Kernels& halfKernels() {
  static const Kernels chosen = chooseHalf(kernels());
  return chosen;
}

}  // namespace vitlab
