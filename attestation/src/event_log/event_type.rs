//! Types of events (PFP, "Event Types").

/// The types that are looked at, by their names in the specification.
#[allow(missing_docs, reason = "the specification's names and numbers")]
pub mod types {
    pub const EV_NO_ACTION: u32 = 0x03;
    pub const EV_SEPARATOR: u32 = 0x04;
    pub const EV_ACTION: u32 = 0x05;
    pub const EV_EVENT_TAG: u32 = 0x06;
    pub const EV_S_CRTM_VERSION: u32 = 0x08;
    pub const EV_PLATFORM_CONFIG_FLAGS: u32 = 0x0A;
    pub const EV_IPL: u32 = 0x0D;
    pub const EV_EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
    pub const EV_EFI_VARIABLE_BOOT: u32 = 0x8000_0002;
    pub const EV_EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
    pub const EV_EFI_GPT_EVENT: u32 = 0x8000_0006;
    pub const EV_EFI_ACTION: u32 = 0x8000_0007;
    pub const EV_EFI_VARIABLE_BOOT2: u32 = 0x8000_000C;
    pub const EV_EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00E0;
}

/// The specification's name of a type.
pub fn name(event_type: u32) -> &'static str {
    match event_type {
        0x00 => "EV_PREBOOT_CERT",
        0x01 => "EV_POST_CODE",
        types::EV_NO_ACTION => "EV_NO_ACTION",
        types::EV_SEPARATOR => "EV_SEPARATOR",
        types::EV_ACTION => "EV_ACTION",
        types::EV_EVENT_TAG => "EV_EVENT_TAG",
        0x07 => "EV_S_CRTM_CONTENTS",
        types::EV_S_CRTM_VERSION => "EV_S_CRTM_VERSION",
        0x09 => "EV_CPU_MICROCODE",
        types::EV_PLATFORM_CONFIG_FLAGS => "EV_PLATFORM_CONFIG_FLAGS",
        0x0B => "EV_TABLE_OF_DEVICES",
        0x0C => "EV_COMPACT_HASH",
        types::EV_IPL => "EV_IPL",
        0x0E => "EV_IPL_PARTITION_DATA",
        0x0F => "EV_NONHOST_CODE",
        0x10 => "EV_NONHOST_CONFIG",
        0x11 => "EV_NONHOST_INFO",
        0x12 => "EV_OMIT_BOOT_DEVICE_EVENTS",
        0x13 => "EV_POST_CODE2",
        super::RUNTIME_EVENT => "DSTACK_RUNTIME_EVENT",
        types::EV_EFI_VARIABLE_DRIVER_CONFIG => "EV_EFI_VARIABLE_DRIVER_CONFIG",
        types::EV_EFI_VARIABLE_BOOT => "EV_EFI_VARIABLE_BOOT",
        types::EV_EFI_BOOT_SERVICES_APPLICATION => "EV_EFI_BOOT_SERVICES_APPLICATION",
        0x8000_0004 => "EV_EFI_BOOT_SERVICES_DRIVER",
        0x8000_0005 => "EV_EFI_RUNTIME_SERVICES_DRIVER",
        types::EV_EFI_GPT_EVENT => "EV_EFI_GPT_EVENT",
        types::EV_EFI_ACTION => "EV_EFI_ACTION",
        0x8000_0008 => "EV_EFI_PLATFORM_FIRMWARE_BLOB",
        0x8000_0009 => "EV_EFI_HANDOFF_TABLES",
        0x8000_000A => "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
        0x8000_000B => "EV_EFI_HANDOFF_TABLES2",
        types::EV_EFI_VARIABLE_BOOT2 => "EV_EFI_VARIABLE_BOOT2",
        0x8000_000D => "EV_EFI_GPT_EVENT2",
        0x8000_0010 => "EV_EFI_HCRTM_EVENT",
        types::EV_EFI_VARIABLE_AUTHORITY => "EV_EFI_VARIABLE_AUTHORITY",
        0x8000_00E1 => "EV_EFI_SPDM_FIRMWARE_BLOB",
        0x8000_00E2 => "EV_EFI_SPDM_FIRMWARE_CONFIG",
        0x8000_00E3 => "EV_EFI_SPDM_DEVICE_POLICY",
        0x8000_00E4 => "EV_EFI_SPDM_DEVICE_AUTHORITY",
        _ => "unknown type",
    }
}
