// Devices "cuda:0" … "cuda:7" for a torch without CUDA: they can be current, and do nothing.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/FakeGuardImpl.h>

using Guard = c10::impl::FakeGuardImpl<c10::DeviceType::CUDA>;
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

struct CUDAHooks final : at::CUDAHooksInterface {  // torch asks its registry for this name
  CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex current_device() const override { return Guard::getDeviceIndex(); }
  c10::DeviceIndex getCurrentDevice() const override { return Guard::getDeviceIndex(); }
  void setCurrentDevice(c10::DeviceIndex d) const override { Guard::setDeviceIndex(d); }
  c10::DeviceIndex deviceCount() const override { return 8; }
  int getNumGPUs() const override { return 8; }
};
namespace at { REGISTER_CUDA_HOOKS(CUDAHooks) }

extern "C" void pretend_set_device(int i) { Guard::setDeviceIndex(static_cast<c10::DeviceIndex>(i)); }
extern "C" int pretend_get_device() { return Guard::getDeviceIndex(); }
