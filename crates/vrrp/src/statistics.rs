//! Counters, named as in the VRRP MIBs: RFC 6527 for both versions, and what RFC 2787 adds for
//! authentication in version 2.

use crate::packet::DecodeError;

/// Counters of the whole process (`vrrpv3Router...` of RFC 6527).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RouterStatistics {
    /// Packets with a wrong checksum (`vrrpv3RouterChecksumErrors`).
    pub checksum_errors: u64,
    /// Packets of an unknown version (`vrrpv3RouterVersionErrors`).
    pub version_errors: u64,
    /// Packets for no virtual router of their interface (`vrrpv3RouterVrIdErrors`).
    pub vrid_errors: u64,
}

/// Counters of one virtual router (`vrrpv3Statistics...` of RFC 6527, the last three
/// `vrrpStats...` of RFC 2787).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Times this router became master (`vrrpv3StatisticsMasterTransitions`).
    pub master_transitions: u64,
    /// Why it did so last (`vrrpv3StatisticsNewMasterReason`).
    pub new_master_reason: NewMasterReason,
    /// Advertisements received (`vrrpv3StatisticsRcvdAdvertisements`).
    pub rcvd_advertisements: u64,
    /// Advertisements with another interval than ours (`vrrpv3StatisticsAdvIntervalErrors`).
    pub adv_interval_errors: u64,
    /// Packets with a TTL or hop limit other than 255 (`vrrpv3StatisticsIpTtlErrors`).
    pub ip_ttl_errors: u64,
    /// Why the last packet was dropped (`vrrpv3StatisticsProtoErrReason`).
    pub proto_err_reason: ProtoErrReason,
    /// Advertisements of priority zero received (`vrrpv3StatisticsRcvdPriZeroPackets`).
    pub rcvd_pri_zero_packets: u64,
    /// Advertisements of priority zero sent (`vrrpv3StatisticsSentPriZeroPackets`).
    pub sent_pri_zero_packets: u64,
    /// Packets of an unknown type (`vrrpv3StatisticsRcvdInvalidTypePackets`).
    pub rcvd_invalid_type_packets: u64,
    /// Advertisements with other addresses than ours (`vrrpv3StatisticsAddressListErrors`).
    pub address_list_errors: u64,
    /// Packets shorter or longer than their header says (`vrrpv3StatisticsPacketLengthErrors`).
    pub packet_length_errors: u64,
    /// Packets of an unknown authentication type (`vrrpStatsInvalidAuthType`).
    pub invalid_auth_type: u64,
    /// Packets of another authentication type than ours (`vrrpStatsAuthTypeMismatch`).
    pub auth_type_mismatch: u64,
    /// Packets with a wrong password (`vrrpStatsAuthFailures`).
    pub auth_failures: u64,
}

/// Why a router became master (`vrrpv3StatisticsNewMasterReason`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NewMasterReason {
    /// It never did.
    #[default]
    NotMaster,
    /// It owns the addresses.
    Priority,
    /// It preempted a master of lower priority.
    Preempted,
    /// The master said nothing more, or said that it leaves.
    MasterNoResponse,
}

/// Why a packet was dropped (`vrrpv3StatisticsProtoErrReason`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProtoErrReason {
    /// None was.
    #[default]
    NoError,
    /// TTL or hop limit.
    IpTtlError,
    /// Version.
    VersionError,
    /// Checksum.
    ChecksumError,
    /// Virtual router identifier.
    VrIdError,
}

impl RouterStatistics {
    /// Counts a packet of a known virtual router that did not decode.
    pub fn count(&mut self, error: &DecodeError) {
        match error {
            DecodeError::Checksum => self.checksum_errors += 1,
            DecodeError::Version(_) => self.version_errors += 1,
            DecodeError::RouterId => self.vrid_errors += 1,
            _ => {}
        }
    }
}

impl Statistics {
    /// Counts a packet that did not decode.
    pub fn count(&mut self, error: &DecodeError) {
        match error {
            DecodeError::Ttl(_) => {
                self.ip_ttl_errors += 1;
                self.proto_err_reason = ProtoErrReason::IpTtlError;
            }
            DecodeError::Version(_) => self.proto_err_reason = ProtoErrReason::VersionError,
            DecodeError::Checksum => self.proto_err_reason = ProtoErrReason::ChecksumError,
            DecodeError::RouterId => self.proto_err_reason = ProtoErrReason::VrIdError,
            DecodeError::Type(_) => self.rcvd_invalid_type_packets += 1,
            DecodeError::Length { .. } => self.packet_length_errors += 1,
            DecodeError::ZeroInterval => self.adv_interval_errors += 1,
            DecodeError::NoAddress => self.address_list_errors += 1,
            DecodeError::AuthenticationHeader => self.auth_type_mismatch += 1,
            DecodeError::AuthenticationType(_) => self.invalid_auth_type += 1,
        }
    }
}
