import { expect, test } from "vitest";
import { chooseSkill } from "./choose.ts";
import { parseManifest } from "./manifest.ts";
import { builtInSkills, loadSkills } from "./node/skill.ts";

const skills = await loadSkills([builtInSkills]);

test("the family names a skill → that one, whatever the words say", () => {
  const { skill, reasons } = chooseSkill(skills, {
    description: "train a model",
    family: "magnetic-survey",
  });
  expect(skill.manifest.name).toBe("magnetic-survey");
  expect(reasons).toEqual(["the family is magnetic-survey"]);
});

test("a command of its own → general-compute, whatever the domain", () => {
  const query = { description: "process the mag survey", domain: "mining", command: true };
  expect(chooseSkill(skills, query).skill.manifest.name).toBe("general-compute");
});

test("a command of its own and a family that is a skill with a program → the command's", () => {
  const query = { description: "process", family: "magnetic-survey", command: true };
  expect(chooseSkill(skills, query).skill.manifest.name).toBe("general-compute");
});

test("words of no skill and no domain → QZ_SKILLS_NONE_FITS that lists them", () => {
  expect(() => chooseSkill(skills, { description: "hello", domain: "general" })).toThrow(
    expect.objectContaining({
      code: "QZ_SKILLS_NONE_FITS",
      message: expect.stringContaining("magnetic-survey"),
    }),
  );
});

test("a kind that no skill is called, words that fit none → says both", () => {
  const query = { description: "hello", domain: "general", family: "magnetic-surveys" };
  expect(() => chooseSkill(skills, query)).toThrow(
    /none is called magnetic-surveys, and its domain/,
  );
});

test("nobody knows what it is about → a skill for everything needs words or files of its own", () => {
  const survey = skills.find(({ manifest: { command } }) => command !== null);
  if (survey === undefined) throw new Error("no skill");
  const manifest = parseManifest({
    ...survey.manifest,
    name: "any",
    domain: "general",
    keywords: ["tally"],
    files: [{ pattern: "*.txt", description: "a text" }],
  });
  const everything = [{ ...survey, manifest }];
  const domain = "general";
  const choose = (description: string, names: string[]) => () =>
    chooseSkill(everything, { description, domain, files: names }).skill.manifest.name;
  expect(choose("hello", [])).toThrow("no skill does this");
  expect(choose("hello", ["a.txt"])()).toBe("any");
  expect(choose("tally", [])).toThrow("no skill does this");
  expect(choose("tally it", ["a.txt"])()).toBe("any");
});

test("a sentence of another domain → the skill that takes the data's keys and the files", () => {
  const survey = { description: "Reduce the gravity survey", domain: "mining" };
  const data = { survey_id: "GRAV-001", stations: 100 };
  expect(chooseSkill(skills, { ...survey, data }).skill.manifest.name).toBe("gravity-reduction");
  const line = { description: "process the survey's seismic traces", domain: "mining" };
  const files = ["line.sgy"];
  expect(chooseSkill(skills, { ...line, files }).skill.manifest.name).toBe("seismic-traces");
});

test("a key that no skill takes → the skill that was meant, whose check says so", () => {
  const query = { description: "process the mag survey", domain: "mining", data: { pionts: 5 } };
  expect(chooseSkill(skills, query).skill.manifest.name).toBe("magnetic-survey");
});
