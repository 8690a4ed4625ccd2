// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Signatures of FROST(secp256k1, SHA-256) that others made: group key, message, signature.
/// @dev Provenance. `rfc`: RFC 9591, appendix E.5, whose message is four bytes. `vector`: the crate frost-secp256k1 3.0.0 with
/// keys of its trusted dealer, ChaCha20Rng (rand_chacha 0.3) seeded with "jeju-compute FROST test vectors!", t-of-n drawn
/// from 2-of-3, 3-of-5, 2-of-2 and 7-of-10, messages of 32 random bytes; each was checked by the crate itself. 12 keys have
/// an even y, 12 an odd one.
library FrostVectors {
    struct Vector {
        bytes key;
        bytes32 message;
        bytes signature;
    }

    uint256 internal constant COUNT = 24;

    function rfc() internal pure returns (bytes memory key, bytes memory message, bytes memory signature) {
        key = hex"02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f";
        message = hex"74657374";
        signature =
            hex"024c1ad4e031872661fa6ebd05dfc7fb30db08b38d79f0edbc82051ae931381bc6a46881e25c7989d3816eae32074f1ab0d49ee908a59713ed5284c6bade7cfb02";
    }

    function vector(uint256 index) internal pure returns (Vector memory) {
        Vector[COUNT] memory all = [
            // 2-of-3
            Vector(
                hex"033301e06947d7a145766ce3c8526a39704b4d2770a9cbacc1b34b0e30096f9622",
                0xe1eef60e5d5f028c2c90a0f1d23b5122a5c7de4d86cd676e22f5f67ba057f247,
                hex"03cc44027c3af34ef6c11e986068667706710814adb4f91d25044268025f58e798dcb2a41c8ae0de540aba4dfbf8ce417a719d767788b9e6a74db372ffee18cc5e"
            ),
            // 7-of-10
            Vector(
                hex"02609437ba2f4846269721f04b0795ba1125548322bfa0c560b9eadeb73f05e4ea",
                0x81d7d7902e9a2f8e55aec94129fb17967fe55f12170e71e59940668cbb254df3,
                hex"02becdb4a5af224d30d7d720c75a9ff13f2e9ad14b56fefb6ad8d5032b87aa34a909b4d0d79d3b3417f7f6aa7ea4c0660c91f12682b843e4442dd576a0513a7d0a"
            ),
            // 7-of-10
            Vector(
                hex"035a7c201af78c6ca506c8790f0e4de097c67e065fbe9e3ea900a5d37e54db9835",
                0xea314555ed11db8d68cc4ea484efe0420795e44f44cc008a0fde71ef6826f336,
                hex"03fe0d6071ebbae23a938c0741fbadf4f8d9d117d74b412d942943c29f731e2d4fdab068977b4964670842d311daf4cd5369c1b64dfce8121bd119f89f0190ef9f"
            ),
            // 2-of-2
            Vector(
                hex"02b21cf7ac9b447f707af77e3e558793624ff008d86aabf14cfded7f847e6f8f3c",
                0x90e09bdad8f486a5c4dcb356e1ab0a3ae819c408ab09532f92d8d45274c94580,
                hex"02d91e4f8a950c05bed523cc6d1722ac7068c60669e00d2441e04597be1debe70dbda917b5c2e1906d4484d7b2a171faf5fb77f0c37a43d9e9f0e035ebc691c01b"
            ),
            // 2-of-3
            Vector(
                hex"03c89d5affb3a1cd9ff0e83eb5a1616622dff8e168c633c6fdf34364dbaa406b43",
                0x9453d7213dd9580449245a268d43637d0dc49ecb9562dad5d98727c8bb2939f1,
                hex"03c42d1ce5c4f2d5ab23dab1c6b70b7ca98862dd82a0266a3e0fb017832ed8e07c81683b82c4ffa64f127b3d63510fe73684e4458d4f5ddb82b86e4265cf70034c"
            ),
            // 7-of-10
            Vector(
                hex"0375374140b45e60a69563e706dcfb3d4d624df8ddb02e9d6447b1ef7de9b2f53f",
                0x2446ed3962e1342b353fa494e5ba74910be57a91a2d4f778ee8fc31f85f426bb,
                hex"026ff39d01db7002acf64e8bc04ac42ee396f9868125e8a0693ea74ecbfeddd977a052f63584b5e36dbf601107756ef5f19273e46cbc95c542896752ececd2fc81"
            ),
            // 2-of-3
            Vector(
                hex"0222c45e64782df56f56d31dffbd72025834293e2a75da2db39f1a3f6e9d679d24",
                0x32fd374899d05c12ecef74cecf615f56037dc84f9d7236cd3d6815e28015ccba,
                hex"03f91a601c9a5b8e62c7a2996901397b4ee5f4c28ff5eeff3d57827bbe2f2b38fd7e0a8f225e544e71d5122f1306202a12d91cdbd269d0066e5ec0fe523510a441"
            ),
            // 7-of-10
            Vector(
                hex"031a97f5cca150b3e9dec18036c6a27692301be60d0d6796ada1bc0ec35d23252b",
                0x2bdae0e0ed9a94c054c0839635ebaf080107abd43cd1aa3c5690c4402e4b5757,
                hex"025b6d6b8c7a5cf65f041eb9ea68e372489d485ad35ee0841189f9c9279ecc8e8726af80647e5626d6cc06ca55dffb5e75223c8db9c86e5331b03470a319b67895"
            ),
            // 2-of-2
            Vector(
                hex"02e5fbef041faa0d7f5dc09e459dce0f19fc454ed2c37a2439e29f3397a6caed71",
                0xc1d8a4b282293a53a6bada86b3e548cc7fdf33daca66baa55bc9e0b7480d5518,
                hex"03f531987d42cd5e91166c79c2eb8c13b8f182d9b6b25df4168e2cfba1ab38336e802f54587f967ba75ff20f3e7383ef7e0842e2055171a0371ad77a6dad0e124d"
            ),
            // 2-of-2
            Vector(
                hex"0343db1652430dd1bf435cdc344730edb0171f34de74d83d2818dd270c72740bb0",
                0xb97d6e25fd76dab6487e2a57e4a3d7435d61cb0bcbdcd2825a4d46fea79ec2e2,
                hex"03afad94df9de14424eade2fb8098d88d2241b40cd858423c46f2d42c24964a1dc8dd107445cc9fbca7800efd013fda9c9d678fa8988e70c5befd7d88cc3bd3bd7"
            ),
            // 2-of-3
            Vector(
                hex"03678e05a77ad7d62167803836c4572edb09398eea13471de2f039356698a1699e",
                0x87f41909828fc5bd2247ae687bcd95494f1b1ed402c98b9f0a4ba93aa98577aa,
                hex"0312879a98b6c2b63aea4186452b21ee1ef0914f950e8d63a72bcc011d70925b3b037929b14c1946b4ba2b9b77f403673b4093069d1acc4ff3138897663c4092cd"
            ),
            // 2-of-3
            Vector(
                hex"03502b76e6db553be8b505b625bf923c1a6aca1d72baf5861e8d3ef79b72cb812c",
                0xd12272776cab72d3ac57e26b053cae9fb11e345db3b678d72991bdba8d37c2a2,
                hex"0303dc4afbd96a1b827f7c459c1da8c3851ab4cce4f91cf1acdc2567d67f7d1730c7779ff21f680d91ebf4cccc94bbdc1aafcfb944227d25f466548142032859ee"
            ),
            // 7-of-10
            Vector(
                hex"0347041f7be764da25d67de7dce49b9d8a6059228c3afac6f9ddbea810c72f6eaa",
                0x99e23e2465460dfdf50db7c60d32e481029c9bab1fdd693374bb6fdf3bd697c4,
                hex"03dac1e2a7ba2071092ef1633fac5adfd58c7a7656e484b39fa7dd80591c2334384861b4591ebd2eb17cfc739e7fe091118bb7b779f34e56b01cf1bfc1e21d5024"
            ),
            // 2-of-3
            Vector(
                hex"03ba9f230f3160f8b5815ae21867138b72c86f6fb88a91240a12e546e8e817b95e",
                0x640714b7f7fc36055adecf22ccf5eef57f29386e2c990baf200af1beefd427a0,
                hex"03755f12546e2ef8c16313a2c21c254d905016f90e959934dcfe6d7ea7704f3163ff9b023c4168df519c2ec8f7bd990663faa109c1c1206ff3beeb973e2377f7a8"
            ),
            // 2-of-3
            Vector(
                hex"0372cdd8f41e32ad0905dd5c9a7f857dadc718365c00d140ba7f13ef539c7c1a6a",
                0x6f24f2969b4ec7687d113d0e6173516311c77c9d6bdd9cae80bfac0dec9403af,
                hex"03e28e89282fcfa39b58ffdc5571d02cc42b6af8da1e6adf480010036c239d397568dcfbb437ed8fd863d94094f27a5d096870edb728a649d248fac62daf072425"
            ),
            // 2-of-3
            Vector(
                hex"0276a59d417d0bea15abd38a40afae7a676c4d5ae3882d93bfb37fb0100a97ee4f",
                0x52451a54e0a56774cec58afa5ae81c18815b9d1ff0b8f0633d529bf01ab654d0,
                hex"03a100f715885a45a1e742528a8287191f4db27763a35ac61c658f5d3cb9c9c0bb5eb9b7c62bb34e5de11ecec038523155da3491626b77d2885fbf0a32ec2c2d67"
            ),
            // 7-of-10
            Vector(
                hex"03145394ca11f26506dfd01d92ad2d93aedacf6e0a4c26a6da677fef0ef7409267",
                0x4ba79aa1dd47218738118ae9d5a81864a7ea734e0a2e1f073f2204942cc1aec8,
                hex"029e68ac5704b90703aa142b28b451f18577abd6c9aa0e431f3d8437468e87917272c364a8a61389d61cd1163b4eec65516100133d588f5bf39d32949831fc5ec8"
            ),
            // 7-of-10
            Vector(
                hex"027141fe0651cb4af9865d5072c929abfed869c6da25acba0deb2450b279254557",
                0x380de77f01689ea9fe0b1d5cc835edb303089c2dcd308177dcdcd479427ea4df,
                hex"03cf20fbc1671d7c0c976f55502b493cd88d357a30ad5c2e034241d03e39c99f869328bb80074e5a8a524b6bebe47a3c73c61dc245cd01c3bf1c4ecdd31f336468"
            ),
            // 2-of-2
            Vector(
                hex"0263fcc006de48d33e199a1627b3ad1d6cfe5e9bc619eed9143a1421561efbd3f8",
                0x10138d625f2ede1033f30700ea178914859a107d6b5e5dfbf69a510608801420,
                hex"02632ecf1e75fd1ab58a413dc99acd6456192e3a7133457331071213f72d546e0478525eaf019d6b9f8674418a1740d11f32a547d63d3a3d3b1fa4553b961075b1"
            ),
            // 2-of-3
            Vector(
                hex"02fe12d3566c481afbfc7393b615dd021dd6d46343df008acf6fc2a5db2dbe367b",
                0x9a9504e03c9cefc87f36a5bf4f73727f1effc8f15e4d03eddf215220806838a1,
                hex"037552e9e18f78f3ea09f7cc82978e81acdbe37dfdcb785d2b52a79a7e1b8bbd3c5ac3f29143eb98deb56d4b930821af11a7a01759f3000020712c8fdda1f44073"
            ),
            // 2-of-3
            Vector(
                hex"0220f97559808c6c8de8a69c15cb7ed8153dc9ffbc30b5c1a63f858efa58c4daec",
                0x231ec2128aaf853c569acb7aa5636927a5927caecd309d0c993963476fe2e35e,
                hex"03878aefd898c26d280e2fca947742801403a6758521bfbd62c883a9797ba4924cd7cc5c668a81b623d34833770fefaa745dd2e11477e7073efa00fa192cb115f3"
            ),
            // 2-of-3
            Vector(
                hex"025cfc792e827d68eee50dc83c241dc9f2530c4e00c29d3e77eb22f9a60a9f950b",
                0x68540a056c5675233768342ad78ce589854cc5fbf5cc605000dba2d95353aba7,
                hex"024c85e82695040af59a1dd45cfac0a1db3fdf3e94ae50876bf5eae31062e4cb1278a23bf2c7037ceb684f4c5a466d43ea666cf7eaff53a0697378a8fd1b6e16e4"
            ),
            // 3-of-5
            Vector(
                hex"02b14a69d0119bdc32ec813f30aa2e735ee252f4fd990ddeb65a49629749a924a7",
                0xa7cf1fc3c1be545a6ec7ff531fd70412cd8538cf28d1f7525087d4b5570b30b5,
                hex"024f38db74de011a80c024a9fd2feeeb5f227d4f00524a88182fc6b600b16a543373d79430e460b211282f945e9b003e91cee7c82e3e6db67afe203df9a4d1764d"
            ),
            // 2-of-2
            Vector(
                hex"02d05c923367e6d7f70e7b658503f65f5c7cce16a2aac851bc66f06b2078b4bf65",
                0x59fc29043eea10cd0e65fdce697a62a7281fcae55c5f5e4ea7e1181c1979d40c,
                hex"020ef63cfabfafbccdfe5fcd8b83ba05557074a3a80115dba7e44b93aa3198d8740946c03309ab60bdb7caddbc87c0f169c4090bc5ad35563d8a90eb25ee0a5351"
            )
        ];
        return all[index];
    }
}
