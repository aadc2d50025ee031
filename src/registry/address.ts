import { BlockList, isIP } from "node:net";

/** Says which network addresses may be published and called. */
export interface AddressPolicy {
  /** Why not, as the end of a sentence that begins with the address; undefined when it may. @param address an IP address. */
  refusal(address: string): string | undefined;
}

type Subnet = readonly [address: string, prefix: number, family: "ipv4" | "ipv6"];

/** No agent answers there, and metadata services do: whoever can name them gets a cloud's credentials read (SSRF). */
const denied: Readonly<Record<string, readonly Subnet[]>> = {
  "is link-local": [
    ["169.254.0.0", 16, "ipv4"], // RFC 3927; the metadata services of most clouds
    ["fe80::", 10, "ipv6"], // RFC 4291, section 2.5.6
    ["fec0::", 10, "ipv6"], // site-local, RFC 3879
  ],
  "is a metadata service": [
    ["100.100.100.200", 32, "ipv4"], // Alibaba Cloud
    ["168.63.129.16", 32, "ipv4"], // Azure's wire server
    ["192.0.0.192", 32, "ipv4"], // Oracle Cloud
    ["fd00:ec2::254", 128, "ipv6"], // AWS
    ["fd20:ce::254", 128, "ipv6"], // Google Cloud
  ],
  "is no address of a host": [
    ["0.0.0.0", 8, "ipv4"], // RFC 1122, section 3.2.1.3
    ["::", 128, "ipv6"],
    ["224.0.0.0", 4, "ipv4"], // multicast, RFC 5771
    ["ff00::", 8, "ipv6"],
    ["240.0.0.0", 4, "ipv4"], // reserved, RFC 1112, and broadcast
  ],
  "hides another address": [
    ["::", 96, "ipv6"], // IPv4-compatible, RFC 4291, section 2.5.5.1
    ["64:ff9b::", 96, "ipv6"], // NAT64, RFC 6052
    ["64:ff9b:1::", 48, "ipv6"], // NAT64, RFC 8215
    ["2002::", 16, "ipv6"], // 6to4, RFC 3056
    ["2001::", 32, "ipv6"], // Teredo, RFC 4380
  ],
};

const loopback = "::1"; // lies in ::/96

/**
 * Allows what is in one of the ranges, or everything when there are none; never what is link-local, a metadata service, unspecified,
 * multicast or hides another address.
 *
 * @param allow CIDRs, such as `10.0.0.0/8` or `fd00::/8`. Default: all.
 * @throws RangeError for what is no CIDR.
 */
export function createAddressPolicy(allow: readonly string[] = []): AddressPolicy {
  const refused = Object.entries(denied).map(([why, subnets]) => ({ why, list: listOf(subnets) }));
  const allowed = allow.length === 0 ? undefined : listOf(allow.map(parseRange));
  return {
    refusal(address) {
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      // BlockList holds an IPv4 address that is mapped to IPv6 (::ffff:0:0/96) against the rules of IPv4.
      const found = address === loopback ? undefined : refused.find(({ list }) => list.check(address, family));
      if (found !== undefined) return `${found.why}, which is never allowed`;
      return allowed === undefined || allowed.check(address, family) ? undefined : `is outside ${allow.join(", ")}`;
    },
  };
}

function listOf(subnets: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [address, prefix, family] of subnets) list.addSubnet(address, prefix, family);
  return list;
}

function parseRange(range: string): Subnet {
  const [, address = "", prefix = ""] = /^([^/]+)\/(\d{1,3})$/.exec(range) ?? [];
  const version = isIP(address);
  const most = version === 6 ? 128 : 32;
  if (version !== 0 && Number(prefix) <= most) return [address, Number(prefix), version === 6 ? "ipv6" : "ipv4"];
  throw new RangeError(`"${range}" is no range of addresses; write a CIDR such as 10.0.0.0/8 or fd00::/8`);
}
