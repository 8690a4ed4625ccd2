use serde_json::json;

use super::*;

fn typed(value: serde_json::Value) -> TypedData {
    serde_json::from_value(value).unwrap()
}

/// The example of EIP-712 itself.
fn mail() -> serde_json::Value {
    json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"}
            ],
            "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
            "Mail": [
                {"name": "from", "type": "Person"},
                {"name": "to", "type": "Person"},
                {"name": "contents", "type": "string"}
            ]
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail",
            "version": "1",
            "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
        },
        "message": {
            "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
            "contents": "Hello, Bob!"
        }
    })
}

#[test]
fn the_standards_example() {
    let hashed = typed(mail()).hash().unwrap();
    assert_eq!(
        hex::encode(hashed.digest),
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    );
    assert_eq!(hashed.name.as_deref(), Some("Ether Mail"));
    assert_eq!(hashed.chain_id, Some(Uint256::from(1)));
    assert_eq!(hashed.verifying_contract, Some(Account([0xcc; 20])));
    let mut undeclared = mail();
    undeclared["types"]
        .as_object_mut()
        .unwrap()
        .remove("EIP712Domain");
    undeclared["domain"]["chainId"] = json!("0x01");
    assert_eq!(typed(undeclared).hash().unwrap(), hashed, "another spelling");
}

#[test]
fn a_struct_that_holds_its_own_kind() {
    let node = |children: serde_json::Value| json!({"value": 1, "children": children});
    let tree = json!({
        "types": {"Node": [{"name": "value", "type": "uint8"}, {"name": "children", "type": "Node[]"}]},
        "primaryType": "Node",
        "domain": {"name": "trees"},
        "message": node(json!([node(json!([])), node(json!([node(json!([]))]))]))
    });
    typed(tree.clone()).hash().unwrap();
    let mut other = tree.clone();
    other["message"]["children"][1]["children"][0]["value"] = json!(2);
    assert_ne!(typed(other).hash(), typed(tree).hash());
}

#[test]
fn what_encoders_differ_on_is_refused() {
    let refused = |why: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = mail();
        change(&mut value);
        assert!(matches!(typed(value).hash(), Err(Refusal::Malformed(_))), "{why}");
    };
    refused("missing member", &|v| {
        v["message"].as_object_mut().unwrap().remove("contents");
    });
    refused("another member", &|v| v["message"]["more"] = json!(1));
    refused("a member in another's place", &|v| {
        v["message"].as_object_mut().unwrap().remove("contents");
        v["message"]["more"] = json!("x");
    });
    refused("null", &|v| v["message"]["contents"] = json!(null));
    refused("null struct", &|v| v["message"]["from"] = json!(null));
    refused("number as text", &|v| v["message"]["contents"] = json!(1));
    refused("text as struct", &|v| v["message"]["from"] = json!("Cow"));
    refused("short address", &|v| v["message"]["to"]["wallet"] = json!("0x00"));
    refused("mistyped address", &|v| {
        v["message"]["to"]["wallet"] = json!("0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbb");
    });
    refused("domain only", &|v| v["primaryType"] = json!("EIP712Domain"));
    refused("no such type", &|v| v["primaryType"] = json!("Letter"));
    refused("type of a member missing", &|v| {
        v["types"].as_object_mut().unwrap().remove("Person");
    });
    refused("empty domain", &|v| v["domain"] = json!({}));
    refused("domain is a list", &|v| v["domain"] = json!([]));
    refused("undeclared member of the domain", &|v| {
        v["domain"]["salt"] = json!("0x00")
    });
    refused("declared member of the domain missing", &|v| {
        v["domain"].as_object_mut().unwrap().remove("version");
    });
    refused("domain of one's own", &|v| v["domain"]["owner"] = json!("me"));
    refused("domain's type of one's own", &|v| {
        v["types"]["EIP712Domain"][0]["type"] = json!("bytes");
    });
    refused("chain id out of range", &|v| {
        v["domain"]["chainId"] = json!(format!("0x1{}", "0".repeat(64)));
    });
    refused("types is a list", &|v| v["types"] = json!([]));
    refused("members of a type are an object", &|v| {
        v["types"]["Mail"] = json!({})
    });
    refused("more about a member", &|v| {
        v["types"]["Mail"][0]["indexed"] = json!(true)
    });
    refused("a name twice", &|v| {
        v["types"]["Person"][1]["name"] = json!("name")
    });
    refused("a name that is none", &|v| {
        v["types"]["Person"][1]["name"] = json!("a,uint8 b")
    });
    for name in ["uint256", "uint", "bytes", "address", "string", "bytes4"] {
        refused("struct named as an elementary type", &|v| {
            v["types"][name] = json!([{"name": "x", "type": "bool"}]);
        });
    }
    refused("too many types", &|v| {
        for at in 0..40 {
            v["types"][format!("T{at}")] = json!([]);
        }
    });
    refused("too many members", &|v| {
        let members: Vec<_> = (0..65)
            .map(|at| json!({"name": format!("m{at}"), "type": "bool"}))
            .collect();
        v["types"]["T"] = json!(members);
    });
}

#[test]
fn values_out_of_their_types_range_are_refused() {
    let of = |kind: &str, value: serde_json::Value| {
        typed(json!({
            "types": {"T": [{"name": "x", "type": kind}]},
            "primaryType": "T",
            "domain": {"name": "ranges"},
            "message": {"x": value}
        }))
        .hash()
    };
    for (kind, good) in [
        ("uint8", json!(255)),
        ("uint8", json!("255")),
        ("uint8", json!("0xff")),
        ("int8", json!(127)),
        ("int8", json!(-128)),
        ("int8", json!("-128")),
        (
            "int256",
            json!("-57896044618658097711785492504343953926634992332820282019728792003956564819968"),
        ),
        ("bytes", json!("0x")),
        ("bytes2", json!("0xAb01")),
        ("bool[2]", json!([true, false])),
        ("bool[][1]", json!([[]])),
    ] {
        assert!(of(kind, good.clone()).is_ok(), "{kind} {good}");
    }
    for (kind, bad) in [
        ("uint8", json!(256)),
        ("uint8", json!(-1)),
        ("uint8", json!("-1")),
        ("uint8", json!("")),
        ("uint8", json!("0x")),
        ("uint8", json!("01")),
        ("uint8", json!("1 ")),
        ("uint8", json!(true)),
        ("int8", json!(128)),
        ("int8", json!(-129)),
        ("int8", json!("--1")),
        ("int8", json!("-0x1")),
        (
            "int256",
            json!("57896044618658097711785492504343953926634992332820282019728792003956564819968"),
        ),
        ("bytes", json!("")),
        ("bytes", json!("0x0")),
        ("bytes", json!("0xzz")),
        ("bytes2", json!("0xab")),
        ("bytes2", json!("0xabcdef")),
        ("bool", json!(1)),
        ("bool", json!("true")),
        ("bool[2]", json!([true])),
        ("bool[]", json!(true)),
        ("bool[][1]", json!([])),
        ("string", json!(["x"])),
        ("address", json!(1)),
    ] {
        assert!(
            matches!(of(kind, bad.clone()), Err(Refusal::Malformed(_))),
            "{kind} {bad}"
        );
    }
}
