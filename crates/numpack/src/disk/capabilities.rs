//! What a file system can do, told by its kind.

use std::io;
use std::os::fd::OwnedFd;

use crate::disk::seam::FsCapabilities;

/// From so many files on one sync of a file system beats one for each: 256 small files took 5 to 200 ms together and
/// 120 ms one by one, 5,000 of them 0.8 s and 15 s.
#[cfg(target_os = "linux")]
pub(super) const TOGETHER: usize = 64;

/// Whether `syncfs` writes out this file system and tells of bytes that were lost, as it does from Linux 5.8 on.
#[cfg(target_os = "linux")]
pub(super) fn syncs_together(dir: &OwnedFd) -> io::Result<bool> {
    /// ext2/3/4, tmpfs, XFS, btrfs, F2FS: file systems of this machine.
    const LOCAL: [u64; 5] = [0xef53, 0x0102_1994, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];
    let kind = rustix::fs::fstatfs(dir)?.f_type as u64 & 0xffff_ffff;
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok(LOCAL.contains(&kind) && version >= (5, 8))
}

/// What the engine may rely on in a folder of this file system.
#[cfg(target_os = "linux")]
pub(super) fn traits_of(dir: &OwnedFd) -> io::Result<FsCapabilities> {
    /// NFS, SMB (three magics), FUSE, 9p, Ceph, AFS, Lustre, GPFS: other hosts may change files unseen.
    const REMOTE: [u64; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
        0x0bd0_0bd0,
        0x4750_4653,
    ];
    /// ext2/3/4 and tmpfs overwrite in place; copy-on-write file systems may need a block for a store.
    const IN_PLACE: [u64; 2] = [0xef53, 0x0102_1994];
    let kind = rustix::fs::fstatfs(dir)?.f_type as u64 & 0xffff_ffff;
    let coherent = !REMOTE.contains(&kind);
    Ok(FsCapabilities { coherent, mapped_writes: IN_PLACE.contains(&kind), locks_follow_mappings: coherent })
}

/// What the engine may rely on where file systems cannot be told apart.
#[cfg(not(target_os = "linux"))]
pub(super) fn traits_of(_dir: &OwnedFd) -> io::Result<FsCapabilities> {
    Ok(FsCapabilities { coherent: true, mapped_writes: false, locks_follow_mappings: false })
}
