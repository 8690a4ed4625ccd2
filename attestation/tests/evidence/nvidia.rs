#[path = "nvidia/genuine.rs"]
pub mod genuine;
#[path = "nvidia/manifests.rs"]
mod manifests;
#[path = "nvidia/negatives.rs"]
mod negatives;
#[path = "nvidia/recordings.rs"]
pub mod recordings;
#[path = "nvidia/synthetic.rs"]
pub mod synthetic;
#[path = "nvidia/wrong_devices.rs"]
mod wrong_devices;
#[path = "nvidia/wrong_manifests.rs"]
mod wrong_manifests;
#[path = "nvidia/wrong_policies.rs"]
mod wrong_policies;
#[path = "nvidia/wrong_reports.rs"]
mod wrong_reports;
