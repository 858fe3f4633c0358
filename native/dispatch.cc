// Picks the widest kernels that this processor has.
#include "kernels.h"

#if defined(VITLAB_HALF)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "halfAttention.h"
#endif
#include "product.h"

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

/** What multiplies bfloat16. */
struct Half {
  Kernels kernels;
  const Products* products;
};

#if defined(VITLAB_HALF)
/** Whether the processor's vectors of 512 bits multiply bfloat16. */
static bool hasPairs() {
  unsigned a, b, c, d;
  constexpr unsigned kAvx512Bf16 = 1 << 5;
  return kernels().attention == avx512::kKernels.attention && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
         (a & kAvx512Bf16) != 0;
}

/** Whether the processor has AMX for bfloat16, and the system lets this process use it. */
static bool hasAmx() {
  unsigned a, b, c, d;
  constexpr unsigned kBf16 = 1 << 22, kTile = 1 << 24;
  if (!hasPairs() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  // Linux gives tiles to processes that ask for them
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

static Half with(const char* name, const HalfAttention& attention, const Products& products) {
  Kernels chosen = kernels();
  chosen.name = name;
  chosen.attentionScratch = attention.scratch;
  chosen.attention = attention.forward;
  chosen.attentionGrad = attention.backward;
  return {chosen, &products};
}

/** The best, or what VITLAB_BF16 names, where it is there. */
static Half chooseHalf() {
  const char* named = std::getenv("VITLAB_BF16");
  const auto wanted = [=](const char* name) { return !named || std::strcmp(named, name) == 0; };
  if (wanted("amx") && hasAmx()) return with("amx", amx::kHalfAttention, amx::kProducts);
  if (wanted("avx512bf16") && hasPairs()) return with("avx512bf16", avx512bf16::kHalfAttention, avx512bf16::kProducts);
  return {kernels(), nullptr};
}
#else
static Half chooseHalf() { return {kernels(), nullptr}; }
#endif

static const Half& half() {
  static const Half chosen = chooseHalf();
  return chosen;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

const Kernels& halfKernels() { return half().kernels; }
const Products* products() { return half().products; }

}  // namespace vitlab
