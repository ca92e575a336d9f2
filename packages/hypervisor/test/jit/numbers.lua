-- Loops that LuaJIT compiles: integers, doubles, tables, strings, and calls that it inlines.
local traces = 0
jit.attach(function(what) if what == "stop" then traces = traces + 1 end end, "trace")

local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end

local function mandelbrot(size)
  local inside = 0
  for y = 0, size - 1 do
    for x = 0, size - 1 do
      local cr, ci = 2 * x / size - 1.5, 2 * y / size - 1
      local zr, zi, left = 0, 0, 50
      while left > 0 and zr * zr + zi * zi <= 4 do
        zr, zi, left = zr * zr - zi * zi + cr, 2 * zr * zi + ci, left - 1
      end
      if left == 0 then inside = inside + 1 end
    end
  end
  return inside
end

local function hash(text, rounds)
  local h = 5381
  for round = 1, rounds do
    for i = 1, #text do h = bit.tobit(bit.bxor(bit.rol(h, 5), text:byte(i)) + round) end
  end
  return bit.tohex(h)
end

local function words(n)
  local seen, parts = {}, {}
  for i = 1, n do
    local word = "w" .. (i * 7919) % 499
    seen[word] = (seen[word] or 0) + 1
  end
  for word, count in pairs(seen) do parts[#parts + 1] = word .. "=" .. count end
  table.sort(parts)
  return #parts, parts[1], parts[#parts]
end

print(sieve(100000), mandelbrot(80), hash("the quick brown fox", 3000), words(30000))
print(jit.status() and traces > 10)
