# Run in the guest's root, a copy of the Debian, once the lab's files are in it.
set -eu
# The initrd: the lab's init, and the disk's drivers in the order in which they load.
mkdir -p initrd/modules initrd/dev initrd/proc initrd/sys initrd/root
version=$(ls lib/modules)
for module in sd_mod vmw_pvscsi; do
    chroot . modprobe --set-version "$version" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    cp ".$file" initrd/modules/
    basename "$file" >>initrd/modules/order
done
chroot . sh -c 'cd /initrd && find . | cpio --quiet -o -H newc' >boot/initrd
rm -rf initrd boot/initrd.img*
# Photon calls it sshd.service, a unit and not another's alias.
rm -f etc/systemd/system/sshd.service etc/systemd/system/multi-user.target.wants/ssh.service
sed '/^Alias=/d' lib/systemd/system/ssh.service >lib/systemd/system/sshd.service
rm lib/systemd/system/ssh.service
# Docker is off until someone enables it, as on Photon, and so is what no guest needs.
# Photon has no SysV scripts: with them each "systemctl enable" runs a Perl program.
rm -rf etc/init.d etc/rc?.d
chroot . systemctl --quiet disable docker.service docker.socket containerd.service
chroot . systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-pstore.service systemd-timesyncd.service getty.target \
    systemd-networkd-wait-online.service systemd-binfmt.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-user-sessions.service systemd-ask-password-wall.path \
    systemd-ask-password-console.path dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount modprobe@configfs.service \
    modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service modprobe@dm_mod.service \
    modprobe@loop.service proc-sys-fs-binfmt_misc.automount systemd-sysusers.service systemd-remount-fs.service
mkdir -p etc/systemd/system-generators
for generator in lib/systemd/system-generators/*; do
    case ${generator##*/} in
    systemd-fstab-generator | systemd-system-update-generator) ;;
    *) ln -s /dev/null "etc/systemd/system-generators/${generator##*/}" ;;
    esac
done
chroot . systemctl --quiet enable systemd-networkd.service systemd-resolved.service sshd.service vmtoolsd.service \
    cloud-init.service sshd-keygen.service iptables.service
chroot . systemctl --quiet set-default multi-user.target
# What a first boot makes has to be empty in a disk that all machines begin with.
: >etc/machine-id
echo photon >etc/hostname
printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >etc/hosts
rm -rf etc/ssh/ssh_host_* var/log/journal var/lib/systemd/random-seed
rm -rf var/cache/apt/* var/lib/apt/lists/* usr/share/doc usr/share/man usr/share/locale run/* tmp/*
