//! COMPOUND: a list of operations that run until one fails (RFC 8881 section 16.2).

use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder, List, Opaque};
use standfast_rpc::xdr_struct;

use super::{Bitmap, Operation, OperationCode, OperationResult, Status};

/// Longest tag that is read.
pub const MAX_TAG: usize = 1024;
/// Most results of a COMPOUND that are read.
const MAX_RESULTS: usize = 4096;

/// `utf8str_cs`: the client's own words, sent back to it.
pub type Tag = Opaque<MAX_TAG>;

/// `COMPOUND4args`, with the operations still encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompoundArgs {
    /// To be sent back.
    pub tag: Tag,
    /// Minor version.
    pub minor: u32,
    /// Number of operations, as the client says.
    pub count: u32,
    /// The operations, one after the other.
    pub operations: bytes::Bytes,
}

impl CompoundArgs {
    /// A COMPOUND of these operations.
    pub fn new(tag: Tag, minor: u32, operations: &[Operation]) -> Self {
        let mut encoder = Encoder::default();
        operations.iter().for_each(|operation| operation.encode(&mut encoder));
        let count = u32::try_from(operations.len()).unwrap_or(u32::MAX);
        Self { tag, minor, count, operations: encoder.into_segments().to_bytes() }
    }

    /// The operations.
    pub fn operations(&self) -> Operations<'_> {
        let decoder = Decoder::new(&self.operations);
        Operations { decoder, minor: self.minor, left: self.count }
    }
}

impl Encode for CompoundArgs {
    fn encode(&self, encoder: &mut Encoder) {
        self.tag.encode(encoder);
        self.minor.encode(encoder);
        self.count.encode(encoder);
        encoder.fixed(&self.operations);
    }
}

impl Decode for CompoundArgs {
    /// Takes all that is left: nothing comes behind a COMPOUND.
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (tag, minor, count) =
            (Tag::decode(decoder)?, u32::decode(decoder)?, u32::decode(decoder)?);
        let operations = decoder.rest();
        while decoder.remaining() >= 4 {
            decoder.u32()?;
        }
        Ok(Self { tag, minor, count, operations })
    }
}

/// An operation that cannot be run; nothing behind it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationError {
    /// Which; [`OperationCode::Illegal`] if it is none.
    pub code: OperationCode,
    /// Why.
    pub status: Status,
}

/// The operations of a COMPOUND, read one by one.
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    decoder: Decoder<'a>,
    minor: u32,
    left: u32,
}

impl Iterator for Operations<'_> {
    type Item = Result<Operation, OperationError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let operation = self.read();
        if operation.is_err() {
            self.left = 0;
        }
        Some(operation)
    }
}

impl Operations<'_> {
    fn read(&mut self) -> Result<Operation, OperationError> {
        let illegal = |status| OperationError { code: OperationCode::Illegal, status };
        let number = self.decoder.clone().u32().map_err(|_| illegal(Status::BadXdr))?;
        let code = OperationCode::try_from(number).ok().filter(|code| code.exists_in(self.minor));
        let code = code.ok_or(illegal(Status::OpIllegal))?;
        let fail = |status| OperationError { code, status };
        if !code.is_served(self.minor) {
            return Err(fail(Status::NotSupp));
        }
        Operation::decode(&mut self.decoder).map_err(|_| fail(Status::BadXdr))
    }
}

impl OperationCode {
    /// Whether the minor version has this operation, served or not.
    pub fn exists_in(self, minor: u32) -> bool {
        let first_minor = match self as u32 {
            ..=39 => 0,
            40..=58 => 1,
            59..=75 => 2,
            _ => return false,
        };
        first_minor <= minor
    }

    /// Whether it is about an object of an export.
    pub fn concerns_export(self) -> bool {
        let others = [
            Self::BackchannelCtl,
            Self::BindConnToSession,
            Self::CreateSession,
            Self::DelegPurge,
            Self::DestroyClientId,
            Self::DestroySession,
            Self::ExchangeId,
            Self::FreeStateId,
            Self::Illegal,
            Self::ReclaimComplete,
            Self::ReleaseLockOwner,
            Self::Renew,
            Self::Sequence,
            Self::SetClientId,
            Self::SetClientIdConfirm,
            Self::TestStateId,
        ];
        self.is_served(if self.is_served(0) { 0 } else { 2 }) && !others.contains(&self)
    }

    /// Whether this server runs it for clients of the minor version.
    pub fn is_served(self, minor: u32) -> bool {
        let is_replaced = matches!(
            self,
            Self::SetClientId
                | Self::SetClientIdConfirm
                | Self::Renew
                | Self::OpenConfirm
                | Self::ReleaseLockOwner
        );
        let is_unserved = matches!(
            self,
            Self::OpenAttr
                | Self::GetDirDelegation
                | Self::GetDeviceInfo
                | Self::GetDeviceList
                | Self::LayoutCommit
                | Self::LayoutGet
                | Self::LayoutReturn
                | Self::SetSsv
                | Self::WantDelegation
                | Self::CopyNotify
                | Self::LayoutError
                | Self::LayoutStats
                | Self::WriteSame
        );
        self.exists_in(minor) && !is_unserved && (minor == 0 || !is_replaced)
    }
}

/// The result of an operation that was not run, encoded: its number and the status; SETATTR also
/// says that nothing was set.
pub fn refused(error: OperationError) -> bytes::Bytes {
    let mut encoder = Encoder::default();
    error.code.encode(&mut encoder);
    error.status.encode(&mut encoder);
    if error.code == OperationCode::SetAttr {
        Bitmap::EMPTY.encode(&mut encoder);
    }
    encoder.into_segments().to_bytes()
}

xdr_struct! {
    /// `COMPOUND4res`, for those who read it.
    pub struct CompoundResults {
        /// Of the last operation that was tried.
        pub status: Status,
        /// As in the arguments.
        pub tag: Tag,
        /// The results up to the first failure.
        pub results: List<OperationResult, MAX_RESULTS>,
    }
}
