/** A server in memory with twenty VMs, for what is measured against one: prints its address and token. */
import { createQueztlClient } from "@queztl/api/client";
import { ADMIN_TOKEN, createFakeServices, startTestServer } from "@queztl/api/testing";

const { url } = await startTestServer(createFakeServices());
const client = createQueztlClient({ url, token: ADMIN_TOKEN });
for (let at = 1; at <= 20; at += 1) {
  await client.vm.create.mutate({ name: `web-${at}`, cpu: 1, memoryMib: 512 });
}
console.log(url, ADMIN_TOKEN);
