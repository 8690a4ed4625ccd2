// The only ACPI code that ever runs in the guest: what Linux has to find on a q35 machine and can't find otherwise. It is
// compiled into the kernel (CONFIG_ACPI_CUSTOM_DSDT) in place of the host's own table, and no other table with code is
// loaded (patches/0001-*). Nothing here reads or writes a device.
DefinitionBlock ("dsdt.aml", "DSDT", 2, "JEJU", "ENCLAVE", 1)
{
    // SLP_TYP of soft off, as the ICH9 that QEMU emulates has it.
    Name (_S5, Package () { 0, 0, 0, 0 })

    Scope (_SB)
    {
        // The PCI Express root. It has no interrupt routing, because every device that the kernel has a driver for uses
        // MSI-X, and no address windows: where they lie differs between machines, so the kernel's own command line says
        // pci=nocrs and devices stay where firmware put them.
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
            })
        }
    }
}
