//! SNP certificate tables (GHCB specification, "SNP Extended Guest Request").

/// GUIDs, as their text reads.
pub mod guid {
    /// ARK.
    pub const ARK: &str = "c0b406a4a803495297433fb6014cd0ae";
    /// ASK or ASVK.
    pub const ASK: &str = "4ab7b379bbac4fe4a02f05aef327c782";
    /// VCEK.
    pub const VCEK: &str = "63da758de6644564adc5f4b93be8accd";
    /// VLEK.
    pub const VLEK: &str = "a8074bc2a25a483eaae639c045a0b8a1";
    /// Revocation list.
    pub const CRL: &str = "92f81bc358114d3d97ffd19f88dc67ea";
}

/// A table of these contents, in this order, filled up to pages of 4096 bytes.
pub fn table(contents: &[(&str, &[u8])]) -> Vec<u8> {
    let mut header = Vec::new();
    let mut body = Vec::new();
    let start = (contents.len() + 1) * 24;
    for (guid, content) in contents {
        header.extend(hex::decode(guid).expect("a GUID is hex"));
        header.extend(((start + body.len()) as u32).to_le_bytes());
        header.extend((content.len() as u32).to_le_bytes());
        body.extend_from_slice(content);
    }
    header.extend([0; 24]);
    header.extend(body);
    header.resize(header.len().next_multiple_of(4096), 0);
    header
}
