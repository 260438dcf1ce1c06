//! Every procedure of MOUNT, versions 1 and 3 (RFC 1813 section 5.2, RFC 1094 appendix A).

use standfast_nfs::mount::protocol::{
    ExportNode, HANDLE_SIZE_1, MountOk, MountResult, Mounted, Path, Procedure, Status,
};
use standfast_rpc::xdr::{Chain, Decoder, List, Opaque, to_bytes};

use crate::fixture::{Fixture, names};

fn opaque<const MAX: usize>(text: &str) -> Opaque<MAX> {
    Opaque::copy_from_slice(text.as_bytes())
}

fn path() -> Path {
    opaque("/srv/data")
}

#[test]
fn each_procedure_has_a_file() {
    let name = |procedure: &Procedure| format!("{procedure:?}").to_lowercase();
    let mut expected: Vec<_> = Procedure::ALL.iter().map(name).collect();
    expected.sort();
    assert_eq!(names("mount"), expected);
    for (number, procedure) in Procedure::ALL.iter().enumerate() {
        assert_eq!(*procedure as usize, number);
    }
}

#[test]
fn null_umnt_and_umntall() {
    for name in ["null", "umntall"] {
        let mut file = Fixture::read("mount", name);
        file.is("call", &());
        file.is("ok", &());
    }
    let mut file = Fixture::read("mount", "umnt");
    file.is("call", &path());
    file.is("ok", &());
}

#[test]
fn mnt() {
    let mut file = Fixture::read("mount", "mnt");
    file.is("call", &path());
    let handle = Opaque::copy_from_slice(&[1, 2, 3, 4, 5]);
    let ok = MountResult::V3(MountOk { handle, flavors: List(vec![1, 390_003]) });
    let results = [
        ("ok, version 3", ok),
        ("fail", MountResult::Fail(Status::Access)),
        ("fail not supported", MountResult::Fail(Status::NotSupp)),
    ];
    for (section, result) in results {
        let bytes = file.take(section);
        assert_eq!(to_bytes(&result), bytes, "{section}");
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(MountResult::decode_v3(&mut decoder), Ok(result), "{section}");
        assert_eq!(decoder.finish(), Ok(()), "{section}");
    }
    let handle: [u8; HANDLE_SIZE_1] = std::array::from_fn(|at| at as u8);
    assert_eq!(to_bytes(&MountResult::V1(handle)), file.take("ok, version 1"));
}

#[test]
fn dump() {
    let mut file = Fixture::read("mount", "dump");
    file.is("call", &());
    let mounted = vec![
        Mounted { host: opaque("client"), path: path() },
        Mounted { host: opaque("::1"), path: opaque("/") },
    ];
    file.is("ok", &Chain(mounted));
    file.is("ok, nobody", &Chain::<Mounted>(Vec::new()));
}

#[test]
fn export() {
    let mut file = Fixture::read("mount", "export");
    file.is("call", &());
    let groups = Chain(vec![opaque("client"), opaque("@g")]);
    let exports = vec![
        ExportNode { path: path(), groups },
        ExportNode { path: opaque("/"), groups: Chain(Vec::new()) },
    ];
    file.is("ok", &Chain(exports));
}

/// Every value of `mountstat3` (RFC 1813 section 5.1.5).
#[test]
fn statuses() {
    let ours: Vec<_> = Status::ALL.iter().map(|status| *status as u32).collect();
    assert_eq!(ours, [0, 1, 2, 5, 13, 20, 22, 63, 10004, 10006]);
}
