#!/usr/bin/env bash
# Bootstrap action: what YARN needs to give each container its own GPU on Amazon Linux 2023, which
# has cgroups of version 2 only. The folder is the one that configurations.json names.
set -euo pipefail
sudo mkdir -p /gpu-cgroup/devices
sudo mount -t cgroup -o devices cgroupv1-devices /gpu-cgroup/devices
sudo chmod -R a+rwx /gpu-cgroup
