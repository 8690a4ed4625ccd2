// Code that a host would like the guest to run. It writes to an I/O port where the test listens, so that running it shows:
// E1 when the table is loaded, E2 and E3 when a device of it is looked at and initialised.
DefinitionBlock ("", "SSDT", 2, "HOST", "HOSTILE", 1)
{
    OperationRegion (PORT, SystemIO, 0x0402, 1)
    Field (PORT, ByteAcc, NoLock, Preserve)
    {
        BYTE, 8
    }

    BYTE = 0xE1

    Scope (\_SB)
    {
        Device (EVIL)
        {
            Name (_HID, "HOST0001")
            Method (_STA, 0, Serialized)
            {
                BYTE = 0xE2
                Return (0x0F)
            }
            Method (_INI, 0, Serialized)
            {
                BYTE = 0xE3
            }
        }
    }
}
