#!/bin/sh
# First process of a guest. Its root is the host's / through hostfs, read-only. The kernel hands
# arguments that it does not know over as environment variables:
#   lab_name lab_v4 lab_v6 lab_interface lab_dir lab_machine lab_control
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
set -e
kernel=$(uname -r)
modules=/usr/lib/uml/modules/$kernel

# A writable layer over the host's files.
mount -t proc proc /proc
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -t tmpfs -o size=75% tmpfs /mnt
mkdir /mnt/up /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root
root=/mnt/root

# What is the guest's own.
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t devtmpfs dev $root/dev
mkdir -p $root/dev/pts $root/dev/shm "$root/lib/modules/$kernel" $root/var/lib/nfs
mount -t devpts devpts $root/dev/pts
for dir in /dev/shm /run /tmp /var/tmp; do
    mount -t tmpfs -o mode=1777 tmpfs $root$dir
done
chmod 755 $root/run
mkdir -p $root/run/lock $root/run/rpcbind
mount --bind "$modules" "$root/lib/modules/$kernel"

# What it shares with the host. The state of NFS outlives a reboot, as it would on a real disk.
# Results are written through at once, so that they are whole when the agent says so.
mkdir -p "$root$lab_dir" $root/run/lab
mount -t hostfs -o "$lab_dir" none "$root$lab_dir"
mount -t hostfs -o "sync,$lab_control" none $root/run/lab
mount -t hostfs -o "$lab_machine/nfs" none $root/var/lib/nfs

echo "$lab_name" >/proc/sys/kernel/hostname
echo "$lab_name" >$root/etc/hostname
: >$root/etc/exports
chroot $root modprobe ipv6
ip -batch - <<BATCH
link set lo up
link set $lab_interface up
addr add $lab_v4/24 dev $lab_interface
addr add $lab_v6/64 dev $lab_interface nodad
BATCH
stty -F /dev/ttyS0 raw -echo
umount /proc
# A session whose terminal is the line: the agent's shell wants one for process groups.
exec chroot $root setsid -c sh "$lab_machine/agent" </dev/ttyS0
