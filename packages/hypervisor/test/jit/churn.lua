-- Functions that are made, get hot and are thrown away: churn.lua count N, or churn.lua seconds N.
local kind, limit = arg[1], tonumber(arg[2])
local started, made, sum = os.time(), 0, 0
local kept = {}
while (kind == "count" and made < limit) or (kind == "seconds" and os.time() - started < limit) do
  made = made + 1
  local source = string.format(
    "local a = ... for i = 1, %d do a = (a * %d + i) %% %d if a > %d then a = a - i end end return a",
    300 + made % 50, 31 + made % 89, 1000003 + made, 500000 - made % 1000)
  kept[made % 64] = assert(loadstring(source))
  for _, f in pairs(kept) do sum = (sum + f(made)) % 1000003 end
  if made % 400 == 0 then jit.flush() end
end
print(kind == "count" and sum or made)
